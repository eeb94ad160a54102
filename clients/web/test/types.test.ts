// Compiled, not run: the types say what a program needs to know.

import { Client, Code, NewsprintError, Verdict, type Result } from "newsprint-web";
import type { Analysis, StoredArticle } from "newsprint-web/v1";

export async function use(): Promise<void> {
  const client = new Client("https://news.example", { token: () => "secret", timeoutMs: 1000 });
  const { articleId, analysis } = await client.submit({ title: "Harbour closed" }, { collection: "wire" });
  const verdict: Verdict | undefined = analysis?.duplicates?.verdict;
  const simhash: string | undefined = analysis?.fingerprint?.simhash;
  const analyzed: Analysis = await client.analyze({ title: "Harbour closed" }, { signal: AbortSignal.timeout(5) });
  const results: Result[] = await client.submitBatch([{ title: "a" }]);
  for (const result of results) {
    if (result instanceof NewsprintError) console.error(result.code === Code.NotFound, result.fields[0]?.field);
    else console.log(result.articleId);
  }
  for await (const stored of client.listArticles({ pageSize: 10 })) {
    const each: StoredArticle = stored;
    console.log(each.article?.title);
  }
  const { collections } = await client.admin.listCollections({});
  console.log(articleId, verdict, simhash, analyzed, collections[0]?.articleCount);
  // @ts-expect-error a browser cannot send a stream
  client.articles.submitArticleStream;
}
