// Usage: page.mjs PACKAGE SCREENSHOT URL
// Opens a page with `useQuery` in Chromium and shows what stands on it.
import { build } from "esbuild";
import { createServer } from "node:http";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { orders, say } from "./script.mjs";

const [convex, screenshot, url] = process.argv.slice(2);
const { version } = await import(convex);
const bundle = await build({
  entryPoints: [fileURLToPath(new URL("page.jsx", import.meta.url))],
  bundle: true,
  write: false,
  jsx: "automatic",
  alias: convex === "convex" ? {} : { convex },
  absWorkingDir: fileURLToPath(new URL(".", import.meta.url)),
  define: { "process.env.NODE_ENV": '"production"' },
});
const html = '<!doctype html><meta charset="utf-8"><title>Profile</title><body><script src="/page.js"></script>';
const server = createServer((request, response) => {
  const script = request.url === "/page.js";
  response.setHeader("Content-Type", script ? "text/javascript; charset=utf-8" : "text/html");
  response.end(script ? bundle.outputFiles[0].text : html);
});
await once(server.listen(0, "127.0.0.1"), "listening");

const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"].concat(
    ["--disable-background-networking", "--disable-component-update", "--disable-sync"],
  ),
});
const page = await browser.newPage({ viewport: { width: 640, height: 480 } });
page.on("pageerror", (error) => say({ error: error.message }));
page.on("console", (message) => console.error(message.text()));
say({ client: `npm convex ${version} ConvexReactClient.useQuery in Chromium ${browser.version()}` });
await page.exposeFunction("shown", async (text) => {
  const value = JSON.parse(text);
  // The last profile that was seen is kept.
  if (value !== null) await page.screenshot({ path: screenshot });
  say({ value });
});
await page.addInitScript((url) => (window.url = url), url);
await page.goto(`http://127.0.0.1:${server.address().port}/`);

for await (const order of orders()) {
  await page.evaluate((order) => window.bid(order), order);
  say({ done: order.do });
}
await browser.close();
server.close();
