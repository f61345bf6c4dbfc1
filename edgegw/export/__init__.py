"""Records leave the process.

- `settings`: the `observe:` section.
- `writer`: a thread that writes bytes to a file or stream, so that a slow disk or pipe never stops the loop.
- `access_log`: access records, collected on the loop and handed to a writer every 100 ms.
- `logs`: the application log as JSON lines or for people, with a bounded rate of repetition.
- `prometheus`: the registry as Prometheus or OpenMetrics text. `scrape`: the read-only site that serves it.
"""
