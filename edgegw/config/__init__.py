"""Text -> typed settings. Floor 2: plain Python and pydantic, no Twisted, no clock.

What is here, in the order in which a configuration passes through it:

    problems.py    Loc, Position, Problem, Problems (the collector), ConfigError
    report.py      problems as text with carets, as JSON, as GitHub annotations
    tree.py        YAML text -> nodes with positions (libyaml events, bounded depth); advice.py for syntax errors
    scalars.py     YAML 1.2 core types; ${ENV}, ${ENV:-default}, file:PATH
    walk.py        nodes -> plain data, and where each piece of it stands
    source.py      load, loads -> Document: one file or a folder of them
    units.py       Duration, Size, Rate, Percent, StatusRanges, Cidr
    model.py       Settings (the base of every settings model), ShortForm; re-exports validate, schema, explain, show, diff
    validation.py  validate(model, document): every problem of one run, with its place; wording.py says it in our words
    remainder.py   a document without what is wrong in it, so that the rest can be looked at in the same run
    schema.py      JSON Schema draft-07 for editors; keys.py walks it
    explain.py     `edgegw explain KEY`; reference.py makes the docs' page
    show.py        the effective configuration as YAML; mask.py hides secrets
    diff.py        what differs between two configurations
    naming.py, plain.py, yamltext.py   what things in lists are called; settings as plain data; plain data as YAML text
"""
