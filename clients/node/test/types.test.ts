// Compiled, not run: what a TypeScript program may write, and what it may not.

import { toJson } from "@bufbuild/protobuf";
import { Client, NewsprintError, Verdict } from "newsprint-client";
import { SubmitArticleResponseSchema } from "newsprint-client/v1";

const client = new Client("news.example:443", { tls: true, token: "a-token" });

export async function submit(): Promise<string> {
  const outcome = await client.submit({ title: "Veldany doubles harbour tolls" }, { timeoutMs: 500 });
  const verdict: Verdict | undefined = outcome.analysis?.duplicates?.verdict;
  const simhash: string | undefined = outcome.analysis?.fingerprint?.simhash;
  if (simhash !== undefined) {
    await client.articles.findSimilar({ query: { case: "simhash", value: simhash } });
  }
  // @ts-expect-error: streams are not among the calls that answer once
  await client.articles.submitArticleStream({});
  // @ts-expect-error: an article has no such field
  await client.submit({ headline: "?" });
  return `${verdict} ${JSON.stringify(toJson(SubmitArticleResponseSchema, outcome))}`;
}

export async function stream(): Promise<void> {
  for await (const { article, result } of client.submitStream([{ title: "One" }])) {
    if (result instanceof NewsprintError) {
      const isOverload: boolean = result.reason === "OVERLOADED";
      console.log(article.articleId, isOverload, result.fields[0]?.field);
    } else {
      console.log(result.articleId, result.revision);
    }
  }
}
