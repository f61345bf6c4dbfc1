"""One question and its answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgegw.discovery.api.errors import ApiError, Garbage
from edgegw.discovery.consul import client as module
from edgegw.discovery.consul.client import Query, Reply
from tests.discovery.consul.case import QUERY, AgentCase, reactor


class AskTests(AgentCase):
    """What is sent, and what comes of it."""

    def args(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = self.agent.requests[-1]["args"]
        return found

    async def test_at_once(self) -> None:
        self.register(1)
        reply = await self.asking().ask(QUERY, 0)
        self.assertEqual((reply.index, reply.doubt, reply.partial), (11, "", False))
        self.assertEqual([each["Service"]["ID"] for each in reply.entries], ["web1"])
        self.assertEqual(self.args(), {"passing": ["1"], "stale": ["1"]})

    async def test_everything_asked_for(self) -> None:
        query = Query("a/b?c", ("v 1", "x&y"), "dc2", "shop", False)
        reply = await self.asking(consistency="consistent").ask(query, 0)
        self.assertEqual(reply.entries, [])
        wanted = {"tag": ["v 1", "x&y"], "dc": ["dc2"], "ns": ["shop"], "consistent": ["1"]}
        self.assertEqual(self.args(), wanted)
        self.assertEqual(self.agent.requests[-1]["path"], "/v1/health/service/a%2Fb%3Fc")

    async def test_the_leader_only(self) -> None:
        await self.asking(consistency="default").ask(QUERY, 0)
        self.assertEqual(self.args(), {"passing": ["1"]})

    async def test_held_back(self) -> None:
        """Longer than the agent may take by a sixteenth, and not for ever."""
        self.register(1)
        client = self.asking(wait_s=0.4, timeout_s=0.2)
        reply = await client.ask(QUERY, 11)
        self.assertEqual(self.args()["wait"], ["400ms"])
        self.assertEqual((reply.index, len(reply.entries)), (11, 1))
        self.agent.hang = True
        began_s = reactor.seconds()
        error = await self.refused(client, index=11)
        self.assertIn("no answer within 0.625 s", str(error))
        self.assertGreater(reactor.seconds() - began_s, 0.6)

    async def refused(self, client: Any = None, index: int = 0, query: Query = QUERY) -> ApiError:
        with self.assertRaises(ApiError) as caught:
            await (client or self.asking()).ask(query, index)
        return caught.exception

    async def test_slow_drip(self) -> None:
        """A byte now and then keeps nothing alive."""
        self.register(1)
        self.agent.drip = True
        self.assertIn("no answer within 0.3 s", str(await self.refused(self.asking(timeout_s=0.3))))

    async def test_datacenter_that_is_none(self) -> None:
        error = await self.refused(query=Query("web", dc="dc9"))
        self.assertEqual(str(error), "the agent answered 500: No path to datacenter")

    async def test_answers_of_no_use(self) -> None:
        for status, body, words in (
            (200, "[]", "this is no Consul agent"),
            (301, "", "it does not say why; redirects are not followed"),
            (400, "Invalid\nindex\x1b[31m", "the agent answered 400: Invalid index [31m"),
            (404, "x" * 5000, "is `url` that of a Consul agent?"),
            (429, "Your IP is issuing too many concurrent connections", "it limits requests"),
            (500, "No cluster leader", "the agent answered 500: No cluster leader"),
        ):
            self.agent.control({"answer": {"status": status, "body": body}})
            error = await self.refused()
            self.assertIn(words, str(error))
            self.assertLess(len(str(error)), 500)

    async def test_retry_after(self) -> None:
        for said, after_s in (("7", 7.0), ("99999", 120.0), ("soon", 0.0), ("9" * 400, 0.0)):
            self.agent.control({"answer": {"status": 429, "headers": {"Retry-After": said}}})
            self.assertEqual((await self.refused()).retry_after_s, after_s)


class JudgeTests(AgentCase):
    """Headers and bodies."""

    async def garbage(self, words: str, **orders: Any) -> None:
        self.agent.control(orders)
        with self.assertRaises(Garbage) as caught:
            await self.asking().ask(QUERY, 0)
        self.assertIn(words, str(caught.exception))

    async def test_index(self) -> None:
        for said in ("x", "-1", "1.5", "1" * 30, "\xb2"):
            await self.garbage("has no index", said=said)
        await self.garbage("this is no Consul agent", said=None)
        self.agent.control({"said": "0"})
        self.assertEqual((await self.asking().ask(QUERY, 0)).index, 1)

    async def test_body(self) -> None:
        headers = {"X-Consul-Index": "5"}
        for body, words in (
            ("", "not JSON"),
            ("[", "not JSON"),
            ("{}", "not a list"),
            ("null", "not a list"),
            ("[" * 100_000, "not JSON"),
        ):
            await self.garbage(words, answer={"body": body, "headers": headers})
        gzip = {**headers, "Content-Encoding": "gzip"}
        await self.garbage("compressed", answer={"body": "[]", "headers": gzip})

    async def test_too_large(self) -> None:
        self.patch(module, "BODY_MAX", 1000)
        headers = {"X-Consul-Index": "5"}
        self.agent.control({"answer": {"body": "[]" + " " * 998, "headers": headers}})
        self.assertEqual((await self.asking().ask(QUERY, 0)).entries, [])
        await self.garbage("larger than 1000 bytes", answer={"body": "[]" + " " * 999, "headers": headers})

    async def reply(self, **headers: str) -> Reply:
        self.agent.headers = {"X-Consul-" + name.replace("_", "-"): value for name, value in headers.items()}
        return await self.asking().ask(QUERY, 0)

    async def test_leader(self) -> None:
        """No leader, or no word of it for long; without having been in touch a server can't say that there is none."""
        self.assertIn("no leader", (await self.reply(Knownleader="false", Lastcontact="1500")).doubt)
        self.assertIn("for 75 s", (await self.reply(Lastcontact="75000")).doubt)
        self.assertEqual((await self.reply(Lastcontact="9000")).doubt, "")
        self.assertEqual((await self.reply(Lastcontact="never")).doubt, "")

    async def test_streaming(self) -> None:
        """Current agents hold questions back by a stream, and then always say that no leader is known."""
        self.assertEqual((await self.reply(Knownleader="false", Lastcontact="0")).doubt, "")
        streamed = await self.reply(Knownleader="false", Lastcontact="1500", Query_Backend="streaming")
        self.assertEqual(streamed.doubt, "")

    async def test_filtered(self) -> None:
        self.assertTrue((await self.reply(Results_Filtered_By_ACLs="true")).partial)
        self.assertFalse((await self.reply(Results_Filtered_By_ACLs="false")).partial)


class TokenTests(AgentCase):
    """What is shown to the agent."""

    def setUp(self) -> None:
        super().setUp()
        self.agent.tokens = ["good", "better"]
        self.register(1)
        self.file = Path(self.mktemp()).absolute()

    async def test_shown(self) -> None:
        self.assertEqual(len((await self.asking(token="good").ask(QUERY, 0)).entries), 1)
        self.assertEqual(self.agent.requests[-1]["token"], "good")
        self.assertNotIn("token", self.agent.requests[-1]["args"])

    async def test_refused(self) -> None:
        with self.assertRaises(ApiError) as caught:
            await self.asking(token="bad").ask(QUERY, 0)
        words = 'the agent answered 403: ACL not found; the token needs service:read on "web" and node:read'
        self.assertEqual(str(caught.exception), words)
        self.assertEqual(len(self.agent.requests), 1)

    async def test_nobody(self) -> None:
        self.agent.control({"answer": {"status": 403, "body": "Permission denied"}})
        with self.assertRaises(ApiError) as caught:
            await self.asking().ask(QUERY, 0)
        self.assertIn("name a `token_file`", str(caught.exception))

    async def test_replaced(self) -> None:
        """While the question is held back: the answer is asked for again with what the file holds now."""
        self.file.write_text("good")
        client = self.asking(token_file=str(self.file))
        await client.ask(QUERY, 0)
        self.agent.control({"answer": {"status": 403, "body": "ACL not found"}})
        original = self.agent.scripted

        def scripted(request: Any) -> Any:
            self.file.write_text("better")
            return original(request)

        self.patch(self.agent, "scripted", scripted)
        self.assertEqual(len((await client.ask(QUERY, 0)).entries), 1)
        self.assertEqual([each["token"] for each in self.agent.requests], ["good", "good", "better"])
