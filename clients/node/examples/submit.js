// Submits articles to newsprint and prints what it answers: node submit.js FILE…
//
// The first line of a file is the article's title, the rest its body. The file's name is its id, so
// submitting it again is safe: the first answer is repeated. NEWSPRINT_ADDR says where the server is.

import { readFile } from "node:fs/promises";
import { basename } from "node:path";

import { Client, NewsprintError, Verdict } from "newsprint-client";

async function* articles(paths) {
  for (const path of paths) {
    const [title, ...body] = (await readFile(path, "utf8")).trim().split("\n");
    yield { articleId: basename(path), title, body: body.join("\n").trim() };
  }
}

function describe({ articleId, replayed, analysis: { classification, duplicates } }) {
  const topics = classification.topics
    .filter(({ assigned }) => assigned)
    .map(({ topic, probability }) => `${topic} ${Math.round(probability * 100)} %`);
  const verdict = Verdict[duplicates.verdict] ?? `verdict ${duplicates.verdict}`;
  return [
    `${articleId}: ${verdict}${replayed ? ", seen before" : ""}`,
    `  topics: ${topics.join(", ") || "none"}`,
    ...duplicates.matches.map(({ articleId, title }) => `  like ${articleId}: ${title}`),
  ].join("\n");
}

const client = new Client(process.env.NEWSPRINT_ADDR);
try {
  for await (const { article, result } of client.submitStream(articles(process.argv.slice(2)))) {
    if (result instanceof NewsprintError) {
      console.error(`${article.articleId}: ${result.message}`);
      process.exitCode = 1;
    } else {
      console.log(describe(result));
    }
  }
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  client.close();
}
