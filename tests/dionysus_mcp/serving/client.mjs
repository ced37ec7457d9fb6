// What the official TypeScript client finds on a server: given as JSON on the command line, answered as JSON.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const wanted = JSON.parse(process.env.WANTED);
const transport = wanted.url
  ? new StreamableHTTPClientTransport(new URL(wanted.url), { requestInit: { headers: wanted.headers } })
  : new StdioClientTransport({ command: wanted.command, args: wanted.args, env: wanted.env, stderr: "inherit" });
const client = new Client({ name: "typescript", version: "1" });
const found = {};
try {
  await client.connect(transport);
  found.server = client.getServerVersion().name;
  found.instructions = client.getInstructions();
  found.capabilities = Object.keys(client.getServerCapabilities());
  found.tools = (await client.listTools()).tools;
  found.resources = (await client.listResources()).resources.map((one) => one.uri);
  found.templates = (await client.listResourceTemplates()).resourceTemplates.map((one) => one.uriTemplate);
  found.prompts = (await client.listPrompts()).prompts.map((one) => one.name);
  found.called = [];
  for (const [name, args] of wanted.calls ?? []) {
    const filled = JSON.parse(JSON.stringify(args).replaceAll("LAST", found.called.at(-1)?.structuredContent?.id ?? ""));
    // The client itself checks structured content against the tool's output schema.
    found.called.push(await client.callTool({ name, arguments: filled }));
  }
  const id = found.called[0]?.structuredContent?.id;
  if (id) found.read = (await client.readResource({ uri: `memory://${id}` })).contents[0].text;
  found.prompt = (await client.getPrompt({ name: "recall", arguments: { question: "tea?" } })).messages[0].content.text;
} catch (error) {
  found.error = { name: error.constructor.name, code: error.code, message: String(error.message) };
} finally {
  await client.close().catch(() => {});
}
console.log(JSON.stringify(found));
