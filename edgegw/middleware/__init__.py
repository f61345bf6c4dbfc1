"""What happens around a target. A middleware is `Responder -> Responder`, folded once per route, at assembly.

- `interfaces`: the plug point: contract, settings, factory, name.
- `pipeline`: the fold; order, `when:`.
- `field_text`: what a configuration may write as a header field.

The edge stage, around the router, on every listener:

- `rescue`: errors become answers. `access_record`: one record per exchange. `request_id`, `client_address`.

The route stage, in its canonical order:

- `security_headers`, `request_caps`, `timeouts`, `header_rules`; then the route's own.
"""
