// Usage: validate.mjs SCHEMAS
// Holds the schemas, the golden events and the golden answers against ajv, and the document of the
// stream against the AsyncAPI parser.
import { readdirSync, readFileSync } from "node:fs";
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import Ajv2020 from "ajv/dist/2020.js";
import formats from "ajv-formats";
import { Parser, fromFile } from "@asyncapi/parser";

const [folder] = process.argv.slice(2);
const require = createRequire(import.meta.url);
const version = (name) => require(`${name}/package.json`).version;
const read = (path) => readFileSync(`${folder}/${path}`, "utf8");
const lines = (path) => read(path).split("\n").filter(Boolean).map((line) => JSON.parse(line));

// Strict: a keyword that ajv does not know or would ignore is an error. Our nullable attributes have
// two types, which ajv calls a union.
const ajv = new Ajv2020({ strict: true, allowUnionTypes: true, strictTypes: false });
formats(ajv);
const kinds = readdirSync(`${folder}/events`).map((name) => name.replace(/\.json$/, ""));
for (const kind of kinds) ajv.addSchema(JSON.parse(read(`events/${kind}.json`)));
ajv.addSchema(JSON.parse(read("answer.json")));
const of = (name) => ajv.getSchema(`https://connvo.app/schemas/${name}`);
for (const kind of kinds) assert.ok(of(`events/${kind}.json`), kind);

const accepts = (event) => {
  const kind = event?.type;
  return typeof kind === "string" && kind !== "common" && kinds.includes(kind)
    ? of(`events/${kind}.json`)(event)
    : false;
};
const golden = readdirSync(`${folder}/golden`).filter((name) => name.startsWith("v"));
let accepted = 0;
let refused = 0;
let beyond = 0;
let answers = 0;
for (const release of golden) {
  const right = [`golden/${release}/accepted.ndjson`, "examples/people.ndjson", "examples/lifecycle.ndjson"];
  for (const event of right.flatMap(lines)) {
    assert.ok(accepts(event), `refused: ${JSON.stringify(event)}`);
    accepted += 1;
  }
  for (const { why, by, event } of lines(`golden/${release}/refused.ndjson`)) {
    assert.equal(accepts(event), by === "check", why);
    if (by === "check") beyond += 1;
    else refused += 1;
  }
  for (const name of readdirSync(`${folder}/golden/${release}`)) {
    if (!name.endsWith(".expected.json")) continue;
    const values = Object.values(JSON.parse(read(`golden/${release}/${name}`)).answers);
    for (const value of values) {
      const answer = { status: "success", value };
      assert.ok(of("answer.json")(answer), `${name}: ${JSON.stringify(of("answer.json").errors)}`);
      assert.ok(!of("answer.json")({ status: "success", value: { ...value, _creationTime: 1 } }));
      answers += 1;
    }
  }
}
console.log(`ajv ${version("ajv")}: ${kinds.length} schemas; ${accepted} events accepted, ${refused} refused, ${beyond} that only check can refuse; ${answers} answers`);

const { document, diagnostics } = await fromFile(new Parser(), `${folder}/asyncapi.json`).parse();
const problems = diagnostics.filter(({ severity }) => severity < 2);
assert.deepEqual(problems.map(({ message, path }) => `${path.join(".")}: ${message}`), []);
assert.ok(document, `${pathToFileURL(folder)} holds no document`);
const messages = document.allMessages().all();
console.log(`@asyncapi/parser ${version("@asyncapi/parser")}: ${document.channels().all().length} channels, ${document.operations().all().length} operations, ${messages.length} messages, no error and no warning`);
