// Writes the files of the page into the package of the server: `node build.mjs FOLDER`.
import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";

import { build } from "esbuild";

import { smallProtobuf } from "./protobuf/plugin.mjs";

process.chdir(import.meta.dirname);
const folder = process.argv[2] ?? "../server/podium_server/web/static";
await mkdir(folder, { recursive: true });
await build({
  absWorkingDir: import.meta.dirname,
  entryPoints: ["src/page.tsx", "src/page.css"],
  outdir: folder,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
  plugins: [smallProtobuf],
  logLevel: "warning",
});
for (const name of ["index.html", "icon.svg"]) {
  await copyFile(`src/${name}`, `${folder}/${name}`);
}
const client = "../client/typescript/node_modules";
const parts = [
  "node_modules/preact", "node_modules/uplot", `${client}/@bufbuild/protobuf`,
  `${client}/@connectrpc/connect`, `${client}/@connectrpc/connect-web`,
].map(licenseOf);
await writeFile(`${folder}/licenses.txt`, (await Promise.all(parts)).join("\n"));

/** The license of a package, or its name where the package carries no text: then it is Podium's. */
async function licenseOf(path) {
  const { name, version, license } = JSON.parse(await readFile(`${path}/package.json`, "utf8"));
  const text = await readFile(`${path}/LICENSE`, "utf8").catch(() => "");
  return `${name} ${version}: ${license}\n\n${text}`;
}
