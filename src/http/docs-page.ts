/** The page at `/swagger-ui`: one self-contained document drawn from `/openapi.json`, nothing loaded from elsewhere. */
import { createHash } from "node:crypto";
import type { Answer } from "#sovd/route.ts";

const STYLE = `
body{font:14px/1.5 system-ui,sans-serif;margin:0;color:#1c2733;background:#f6f7f9}
header{background:#16324f;color:#fff;padding:12px 24px;display:flex;gap:16px;align-items:center;flex-wrap:wrap}
header h1{font-size:18px;margin:0;flex:1}header input{width:280px}
main{max-width:1100px;margin:0 auto;padding:12px 24px}h2{font-size:16px;margin:20px 0 6px}
details{background:#fff;border:1px solid #d9dee5;border-radius:4px;margin:4px 0}
summary{padding:6px 10px;cursor:pointer}summary code{margin:0 8px}
.verb{display:inline-block;width:58px;font-weight:600;text-transform:uppercase}
.get{color:#1769aa}.post{color:#2e7d32}.put{color:#a15c00}.delete{color:#b3261e}
form{padding:0 12px 12px}label{display:block;margin:6px 0 2px}
input,textarea,select,button{font:inherit;padding:3px 6px}textarea{width:100%;height:110px;font-family:monospace;box-sizing:border-box}
pre{background:#10202f;color:#dbe7f3;padding:10px;overflow:auto;max-height:420px}
`;

const SCRIPT = `
const make = (tag, props = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), props);
  element.append(...children);
  return element;
};
const token = document.getElementById("token");
const main = document.querySelector("main");

const resolve = (spec, value) => value && value.$ref
  ? value.$ref.slice(2).split("/").reduce((at, key) => at[key], spec) : value;

const field = (parameter) => {
  const { name, required, schema = {} } = parameter;
  const input = schema.enum
    ? make("select", { name }, ...schema.enum.map((one) => make("option", { textContent: one })))
    : make("input", { name, required: Boolean(required) });
  input.dataset.in = parameter.in;
  return make("label", {}, name + (required ? " * " : " "), input);
};

const send = async (form, method, path, type, output) => {
  let target = path;
  const query = new URLSearchParams();
  for (const input of form.querySelectorAll("[data-in]")) {
    if (input.value === "") continue;
    if (input.dataset.in === "path") target = target.replace("{" + input.name + "}", encodeURIComponent(input.value));
    else query.set(input.name, input.value);
  }
  const headers = {};
  if (token.value !== "") headers.Authorization = "Bearer " + token.value;
  const body = form.querySelector("textarea");
  const init = { method: method.toUpperCase(), headers };
  if (body && body.value.trim() !== "") { headers["Content-Type"] = type; init.body = body.value; }
  const started = performance.now();
  const response = await fetch(target + (query.size ? "?" + query : ""), init);
  const text = await response.text();
  let shown = text;
  try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch {}
  output.hidden = false;
  output.textContent = response.status + " " + response.statusText + "  " +
    Math.round(performance.now() - started) + " ms\\n\\n" + shown;
  if (path.endsWith("/authorize") && response.ok) token.value = JSON.parse(text).access_token;
};

const operation = (spec, path, method, details) => {
  const output = make("pre", { hidden: true });
  const form = make("form");
  if (details.description) form.append(make("p", { textContent: details.description }));
  for (const one of details.parameters ?? []) form.append(field(resolve(spec, one)));
  const content = details.requestBody?.content;
  const type = content && Object.keys(content)[0];
  if (content) {
    const schema = JSON.stringify(content[type].schema, null, 2);
    form.append(make("label", {}, "Body, " + type, make("textarea", { placeholder: schema })));
  }
  form.append(make("button", { textContent: "Send" }), output);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(form, method, path, type, output).catch((error) => {
      output.hidden = false;
      output.textContent = String(error);
    });
  });
  const open = details.security?.length === 0 ? "" : " \\u{1F512}";
  return make("details", {},
    make("summary", {}, make("span", { className: "verb " + method, textContent: method }),
      make("code", { textContent: path }), details.summary + open), form);
};

const draw = (spec) => {
  document.getElementById("title").textContent = spec.info.title + " " + spec.info.version;
  const groups = new Map();
  for (const [path, methods] of Object.entries(spec.paths)) {
    for (const [method, details] of Object.entries(methods)) {
      const tag = details.tags?.[0] ?? "other";
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(operation(spec, path, method, details));
    }
  }
  main.replaceChildren(...[...groups].flatMap(([tag, list]) => [make("h2", { textContent: tag }), ...list]));
};

fetch("/openapi.json").then((response) => response.json()).then(draw)
  .catch((error) => { main.textContent = String(error); });
`;

const PAGE = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>SOVD interface</title><style>${STYLE}</style></head>
<body><header><h1 id="title">SOVD interface</h1><label>Token <input id="token" autocomplete="off"></label></header>
<main>Loading …</main><script>${SCRIPT}</script></body></html>`;

const hash = (text: string): string => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

const POLICY = `default-src 'none'; script-src ${hash(SCRIPT)}; style-src ${hash(STYLE)}; connect-src 'self'`;

const ANSWER: Answer = {
  status: 200,
  headers: { "Content-Security-Policy": POLICY },
  contentType: "text/html; charset=utf-8",
  body: Buffer.from(PAGE),
};

/** The page; the same bytes for everybody. */
export function docsPage(): Answer {
  return ANSWER;
}
