/** The whole contract as generated. */

export * from "./gen/newsprint/v1/admin_service_pb.js";
export * from "./gen/newsprint/v1/article_pb.js";
export * from "./gen/newsprint/v1/article_service_pb.js";
export * from "./gen/newsprint/v1/error_pb.js";
