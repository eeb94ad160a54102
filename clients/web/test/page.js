// What a page of another origin does in the browser: the client library, and Google's grpc-web.

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { GrpcWebClientBase, MethodDescriptor, MethodType } from "grpc-web";
import { Client } from "newsprint-web";
import { AdminService, ArticleService } from "newsprint-web/v1";

/** An error as a test can have it out of the browser. */
const plain = ({ name, code, reason, fields, message, metadata }) => ({ name, code, reason, fields, message, metadata });

globalThis.library = async (address, article) => {
  const client = new Client(address, { token: "of a page" });
  const { version } = await client.admin.getServerInfo({});
  const analysis = await client.analyze(article);
  const error = await client.analyze({ articleId: "x" }).catch(plain);
  return { version, topics: analysis.classification.topics.length, error };
};

/** A call as grpc-web makes it, in one of its two forms. */
function call(address, format, method, request, type = MethodType.UNARY) {
  const descriptor = new MethodDescriptor(
    `/${method.parent.typeName}/${method.name}`,
    type,
    Object,
    Object,
    (message) => toBinary(method.input, message),
    (bytes) => fromBinary(method.output, bytes),
  );
  const client = new GrpcWebClientBase({ format });
  return new Promise((resolve, reject) => {
    const answered = (error, answer) => (error ? reject(error) : resolve(answer));
    client.rpcCall(address + descriptor.getName(), create(method.input, request), {}, descriptor, answered);
  });
}

globalThis.google = async (address, format, article) => {
  const { version } = await call(address, format, AdminService.method.getServerInfo, {});
  const { analysis } = await call(address, format, ArticleService.method.analyzeArticle, { article });
  const error = await call(address, format, ArticleService.method.analyzeArticle, {}).catch(plain);
  return { version, topics: analysis.classification.topics.length, error };
};

globalThis.plainPost = (address) =>
  fetch(`${address}/newsprint.v1.ArticleService/SubmitArticle`, { method: "POST", body: "{}" }).then(
    (response) => response.status,
    (error) => error.name,
  );
