"""The `edgegw` command.

    command.py         main: finds the verb, runs it, turns what goes wrong into words and an exit status
    table.py           every verb, in the order of the help
    verbs.py           what a verb and its arguments are; parsing with did-you-mean; the help
    output.py          text, JSON or GitHub annotations; colour; tables
    place.py           where the configuration and the state folder are
    control_client.py  asks the gateway that runs, over its control socket
    offline.py         check, show, schema, explain
    looking.py         routes, match, upstreams
    running.py         status, reload, rollback, stop
    past.py            history, diff
    starting.py        run, init, proxy
    pages.py           version, docs; errors_page.py and reasons.py make docs/reference/errors.md

Exit status: 0 all is well, 1 there are problems, 2 the command line is wrong. Only `run` and `proxy` install a reactor.
"""

from edgegw.cli.command import main

__all__ = ["main"]
