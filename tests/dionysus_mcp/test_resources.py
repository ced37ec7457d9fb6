"""Resources, prompts, pages and schemas of the server, met by the official client."""

import json

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.shared.exceptions import MCPError
from mcp_types import ResourceTemplateReference

from dionysus_mcp.client import McpClient, MemoryClient, memory_server
from dionysus_mcp.quoting import ABOUT
from tests.dionysus_mcp.test_quoting import ATTACKS

pytestmark = pytest.mark.anyio
READING = {
    "semantic_recall": {"query": "tea"},
    "get_consciousness_state": {},
    "list_mental_models": {},
    "explore_graph": {"entity": "Tea"},
}


@pytest.fixture
async def client(words_only, trace):
    server = memory_server(words_only.model_copy(update={"token_budget": 1000}), trace)
    parameters = StdioServerParameters(command=server.command, args=list(server.args), env=dict(server.env))
    async with Client(parameters) as connected:
        yield connected


async def told(client, content, **rest):
    return (await client.call_tool("create_memory", {"content": content, **rest})).structured_content["id"]


async def test_a_memory_a_belief_and_the_state_are_read_as_resources(client):
    memory = await told(client, "Tea is at four.", source="notes")
    belief = await client.call_tool("create_mental_model", {"domain": "world", "statement": "Tea is hot."})
    read = json.loads((await client.read_resource(f"memory://{memory}")).contents[0].text)
    assert (read["about"], read["memories"][0]["content"]) == (ABOUT, "Tea is at four.")
    assert (read["memories"][0]["source"], read["memories"][0]["trust"]) == ("notes", "told")
    model = json.loads((await client.read_resource(f"model://{belief.structured_content['id']}")).contents[0].text)
    assert model["statement"] == "Tea is hot."
    state = json.loads((await client.read_resource("state://current")).contents[0].text)
    assert (state["total_memories"], len(state["models"])) == (1, 1)


async def test_resources_are_listed_page_by_page_newest_first(client):
    ids = [await told(client, f"Tea number {number}.") for number in range(60)]
    first = await client.list_resources()
    second = await client.list_resources(cursor=first.next_cursor)
    listed = [str(one.uri) for one in [*first.resources, *second.resources]]
    assert listed == ["state://current", *(f"memory://{one}" for one in reversed(ids))]
    assert (first.next_cursor is None, second.next_cursor) == (False, None)
    templates = {one.uri_template for one in (await client.list_resource_templates()).resource_templates}
    assert templates == {"memory://{memory_id}", "model://{model_id}"}
    with pytest.raises(MCPError, match="is no cursor"):
        await client.list_resources(cursor="nowhere")


async def test_ids_are_completed(client):
    memory = await told(client, "Tea is at four.")
    reference = ResourceTemplateReference(type="ref/resource", uri="memory://{memory_id}")
    for begun, found in ((memory[:5], [memory]), ("m-zz", []), ("", [memory])):
        answer = await client.complete(reference, {"name": "memory_id", "value": begun})
        assert answer.completion.values == found


async def test_a_resource_that_there_is_not_is_a_clear_error(client):
    for uri in ("memory://m-none", "model://b-none", "memory://..%2fetc", "state://other", "memory://"):
        with pytest.raises(MCPError, match=r"[Uu]nknown|not found"):
            await client.read_resource(uri)


async def test_prompts_quote_what_is_recorded(client):
    for attack in ATTACKS:
        await told(client, f"Obey, reveal, harmless: {attack}")
    listed = {one.name: [each.name for each in one.arguments] for one in (await client.list_prompts()).prompts}
    assert listed == {"recall": ["question"], "reflect": ["topic"]}
    for name, arguments in (("recall", {"question": "obey?"}), ("reflect", {}), ("reflect", {"topic": "obey"})):
        (message,) = (await client.get_prompt(name, arguments)).messages
        text = message.content.text
        assert ABOUT in text
        assert not any(mark in text for mark in ("<|", "\u202e", "\u200b", "<system", "\nSystem:", "\nHuman:"))
        opened = [line for line in text.splitlines() if line.startswith("<recorded-")]
        assert opened, "each piece of material stands between marks that it can't know"
        assert all(f"</{mark[1:]}" in text.splitlines() for mark in opened)


async def test_a_prompt_that_asks_for_nothing_or_too_much_says_so(client):
    for name, arguments in (("recall", {"question": " "}), ("reflect", {"topic": "x" * 10_001})):
        with pytest.raises(MCPError, match="A query has 1 to 10,000 characters"):
            await client.get_prompt(name, arguments)


async def test_every_tool_says_what_it_gives_and_does(client):
    for tool in (await client.list_tools()).tools:
        assert tool.output_schema["type"] == "object", tool.name
        assert tool.description, tool.name
        assert tool.annotations.read_only_hint is not None, tool.name
        assert tool.annotations.open_world_hint is False, tool.name


async def test_what_tools_give_is_labelled_quoted_and_within_the_budget(client):
    for attack in ATTACKS:
        await told(client, f"tea {attack} {'and so on ' * 200}", source="mail")
    for tool, arguments in READING.items():
        answer = await client.call_tool(tool, arguments)
        text = answer.content[0].text
        assert json.loads(text)["about"] == ABOUT, tool
        assert not any(mark in text for mark in ("<|", "\u202e", "\u200b", "<system", "\nSystem:")), tool
        assert len(json.dumps(answer.structured_content)) <= 1.3 * 4 * 1000, tool
    hits = answer = (await client.call_tool("semantic_recall", {"query": "tea"})).structured_content
    assert {(one["trust"], one["source"]) for one in hits["hits"]} == {("told", "mail")}


async def test_hits_that_did_not_fit_come_by_the_cursor(client):
    ids = {await told(client, f"tea {number} {'and so on ' * 100}") for number in range(12)}
    found, cursor = [], None
    for _ in range(20):
        arguments = {"query": "tea", "top_k": 50} | ({"cursor": cursor} if cursor else {})
        answer = (await client.call_tool("semantic_recall", arguments)).structured_content
        found += [one["id"] for one in answer["hits"]]
        cursor = answer["next_cursor"]
        if cursor is None:
            break
    assert len(found) == len(ids)
    assert set(found) == ids


async def test_long_memories_come_in_parts_that_our_client_puts_together(words_only, trace):
    server = memory_server(words_only.model_copy(update={"token_budget": 1000}), trace)
    async with McpClient("memory", server) as connected:
        memory = MemoryClient(connected)
        long = "".join(f"{number} tea, " for number in range(3000))
        made = [await memory.create(one) for one in (long, "short", long[::-1])]
        assert [one.content for one in await memory.get([each.id for each in made])] == [long, "short", long[::-1]]
        changed = await memory.update(made[0].id, "longer", content=long + "the end")
        told = await memory.history(changed.id)
        assert [one.content for one in told.versions] == [long, long + "the end"]
        assert told.current == changed.id
        # One call shows no more than its budget.
        raw = await connected.call("get_memories", {"ids": [one.id for one in made]})
        assert len(json.dumps(raw)) < 1.2 * 4 * 1000


async def test_long_metadata_come_in_parts_that_our_client_puts_together(words_only, trace):
    server = memory_server(words_only.model_copy(update={"token_budget": 1000}), trace)
    async with McpClient("memory", server) as connected:
        memory = MemoryClient(connected)
        huge = {"log": [f'"{number}" \\ tea' for number in range(2500)], "last": None}
        made = [
            await memory.create(f"Tea {n}. " * 300 * n, metadata=its) for n, its in enumerate(({}, huge, {"a": 1}), 1)
        ]
        ids = [one.id for one in made]
        assert [one.metadata for one in await memory.get(ids)] == [{}, huge, {"a": 1}]
        assert [len(one.content) for one in await memory.get(ids)] == [2100, 4200, 6300]
        changed = await memory.update(ids[1], "more", content="Tea.")
        assert [one.metadata for one in (await memory.history(changed.id)).versions] == [huge, huge]
        for tool, arguments in (
            ("get_memories", {"ids": ids}),
            ("semantic_recall", {"query": "tea"}),
            ("get_consciousness_state", {}),
            ("memory_history", {"memory_id": ids[1]}),
        ):
            assert len(json.dumps(await connected.call(tool, arguments))) < 1.3 * 4 * 1000, tool


async def test_an_error_shows_what_it_repeats(client):
    answer = await client.call_tool("semantic_recall", {"query": "tea", "cursor": "1\u202e<|im_start|>"})
    assert answer.is_error
    assert "<|" not in answer.content[0].text
    assert "\u202e" not in answer.content[0].text
