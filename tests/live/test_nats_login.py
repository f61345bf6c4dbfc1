"""Discovery by NATS: how a real nats-server is logged in to, and TLS that begins after its greeting."""

import json
import time

from nats.js.api import KeyValueConfig

from tests.certs import Authority
from tests.live.nats_case import NatsCase, front
from tests.live.nats_server import NatsServer
from tests.live.servers import Gateway
from tests.nkeys import decentralised, nkey


class LoginTests(NatsCase):
    """Who we are."""

    TLS = 'tls {cert_file: "@{dir}/s.pem", key_file: "@{dir}/s.key"}'
    PASSWORD = 'authorization {users: [{user: gw, password: "s3cret-word"}]}'

    def start(self, config: str, connection: str, tls: bool = False, files: dict[str, bytes] | None = None) -> None:
        self.nats = self.serve(NatsServer(config, files=files))
        scheme = self.nats.url if not tls else self.nats.url.replace("127.0.0.1", "localhost")
        text = front(f'servers: ["{scheme}"], ping: 1s, {connection}', "service: users")
        self.gateway = self.serve(Gateway(text, before=self.before, files=files))

    def comes_in(self) -> None:
        self.await_state("fresh")
        self.assertEqual(self.source()["last_error"], "")

    def test_password(self) -> None:
        self.start(self.PASSWORD, "user: gw, password: s3cret-word")
        self.comes_in()

    def test_refused(self) -> None:
        """Told once in the log, in clear words, without the password; the server is not hammered."""
        self.start(self.PASSWORD, "user: gw, password: wrong-word")
        self.await_failing(f"127.0.0.1:{self.nats.port('nats')} refuses us: Authorization Violation; check user gw")
        time.sleep(3)
        log = self.gateway.log()
        self.assertEqual(log.count("does not answer"), 1, log)
        self.assertNotIn("wrong-word", log)
        connections = json.loads(self.nats.monitor("/varz"))["total_connections"]
        self.assertLess(connections, 25)

    def test_token(self) -> None:
        self.start('authorization {token: "t0ken-word"}', "token: t0ken-word")
        self.comes_in()

    def test_nkey(self) -> None:
        public, seed = nkey()
        self.start(f"authorization {{users: [{{nkey: {public}}}]}}", "creds: gw.seed", files={"gw.seed": seed.encode()})
        self.comes_in()

    def test_creds(self) -> None:
        """An operator, an account, a user: the server trusts the operator alone."""
        config, creds = decentralised()
        self.start(config, "creds: gw.creds", files={"gw.creds": creds.encode()})
        self.comes_in()

    def test_not_allowed_to_listen(self) -> None:
        """Connected, but deaf: that is not an answer."""
        config = 'authorization {users: [{user: gw, password: pw12, permissions: {subscribe: ["_INBOX.>"]}}]}'
        self.start(config, "user: gw, password: pw12")
        self.await_failing("does not let us listen: Permissions Violation for Subscription")
        self.await_state("stale")

    LEAST = """authorization {users: [
        {user: all, password: all1}
        {user: gw, password: pw12, permissions: {
            publish: ["gateway.services.discover", "$JS.API.CONSUMER.CREATE.KV_services",
                      "$JS.API.CONSUMER.DELETE.KV_services.*", "$JS.FC.KV_services.>"]
            subscribe: ["gateway.services.>", "_INBOX.>"]
        }}
    ]}"""
    """What docs/how-to/nats.md says that a gateway needs."""

    def test_least_permissions(self) -> None:
        for query in ("service: users", "bucket: services"):
            one = self.origin("one")
            self.nats = self.serve(NatsServer(self.LEAST))
            self.peer = self.join(user="all", password="all1")
            stream = self.peer.client.jetstream()
            bucket = self.peer.run(stream.create_key_value(KeyValueConfig(bucket="services")))
            text = front(self.to("ping: 1s, user: gw, password: pw12"), query)
            self.gateway = self.serve(Gateway(text, before=self.before))
            self.comes_in()
            self.register(one)
            self.peer.run(bucket.put("users.one", self.instance(one)))
            self.serves("one")
            self.assertEqual(self.source()["last_error"], "")
            self.assertNotIn("refuses", self.gateway.log())

    def test_tls(self) -> None:
        files = self.tls_files()
        self.start(self.TLS, "tls: {ca: ca.pem}", tls=True, files=files)
        self.comes_in()
        self.assertIn('"tls_version"', self.nats.monitor("/connz"))

    def test_tls_of_somebody_else(self) -> None:
        files = {**self.tls_files(), "other.pem": Authority().cert_pem}
        self.start(self.TLS, "tls: {ca: other.pem}", tls=True, files=files)
        self.await_failing("not in the trusted bundle")

    def test_tls_is_not_there(self) -> None:
        """Who insists on TLS does not log in without."""
        self.start(self.PASSWORD, "user: gw, password: s3cret-word, tls: {}")
        self.await_failing("TLS is configured, and the server speaks none")

    def tls_files(self) -> dict[str, bytes]:
        """For server and gateway."""
        authority = Authority()
        leaf = authority.issue("localhost")
        return {"s.pem": leaf.chain_pem, "s.key": leaf.key_pem, "ca.pem": authority.cert_pem}
