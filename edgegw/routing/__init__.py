"""Which route an exchange belongs to, and under what address its target sees it.

match.py     `GET api.example.com/users/{id}/**` -> Match, with errors that tell what to write instead
segments.py  one path segment of a match: literal, {name}, {name:int}, {name:regex}, `*`, `**`
entries.py   what a tree is built from; the order of precedence; entries that can never be told apart
tree.py      Tree: many entries, one look-up
index.py     the tree's nodes and the search in them
captures.py  the parameters of one match
router.py    Router, the responder that ends the edge stage; Route
rewrite.py   Rewrite, a middleware: the target sees another path and host, answers follow
    follow.py    how Location and cookies follow
"""
