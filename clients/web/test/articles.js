import { readFileSync } from "node:fs";

/** One of the articles that all clients are tried with. */
export function article(name) {
  const text = readFileSync(new URL(`../../articles/${name}.txt`, import.meta.url), "utf8").trim();
  const [title] = text.split("\n", 1);
  return { articleId: name, title, body: text.slice(title.length).trim() };
}
