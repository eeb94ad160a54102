#!/usr/bin/env bash
# Tests a running server with grpcurl, without proto files: clients/grpcurl/test.sh ADDRESS.
# It works in a collection of its own and deletes that at the end.
source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

address=${1-}
[[ -n $address ]] || fail "usage: clients/grpcurl/test.sh ADDRESS (such as 127.0.0.1:50051)"
grpcurl=$tools/grpcurl/grpcurl
[[ -x $grpcurl ]] || fail "grpcurl is missing: run scripts/install-tools"

articles=newsprint.v1.ArticleService
admin=newsprint.v1.AdminService
collection=grpcurl-$$-$RANDOM

# The options every call gets; errors come as JSON, details included.
rpc() {
  "$grpcurl" -plaintext -connect-timeout 2 -max-time 10 -format-error "$@"
}

# call METHOD JSON
call() {
  rpc -d "$2" "$address" "$1"
}

# json_string TEXT: the text as a JSON string.
json_string() {
  local text=${1//\\/\\\\}
  text=${text//\"/\\\"}
  text=${text//$'\n'/\\n}
  printf '"%s"' "$text"
}

# article ID FILE: the article in the file, the first line of which is its title, as JSON.
article() {
  local title body
  { read -r title && body=$(cat); } <"$root/clients/articles/$2"
  printf '{"article_id": "%s", "title": %s, "body": %s}' \
    "$1" "$(json_string "$title")" "$(json_string "${body#$'\n'}")"
}

# request ARTICLE: a request to submit it.
request() {
  printf '{"collection": "%s", "article": %s}' "$collection" "$1"
}

submit() {
  call "$articles/SubmitArticle" "$(request "$1")"
}

batch() {
  call "$articles/BatchSubmitArticles" "{\"collection\": \"$collection\", \"articles\": [$1]}"
}

stream() {
  call "$articles/SubmitArticleStream" "$(for article in "$@"; do request "$article"; done)"
}

# violation FIELD, reason NAME: patterns for what an error's details hold.
violation() {
  printf '"field": "%s"' "$1"
}

reason() {
  printf '"@type": "type.googleapis.com/google.rpc.ErrorInfo",.*"reason": "%s"' "$1"
}

test_reflection() {
  check "list names the services" \
    'grpc\.health\.v1\.Health' "$admin" "$articles" -- rpc "$address" list
  check "list names a service's methods" \
    'BatchSubmitArticles' 'SubmitArticle( |$)' 'SubmitArticleStream' 'FindSimilar' \
    -- rpc "$address" list "$articles"
  check "describe shows a service with its comments" \
    '// Analyses an article, looks for duplicates of it' \
    'rpc SubmitArticleStream \( stream \.newsprint\.v1\.SubmitArticleStreamRequest \)' \
    -- rpc "$address" describe "$articles"
  check "describe shows a message with its comments" \
    'string article_id = 1;' 'idempotency key' 'map<string, string> attributes = 8;' \
    -- rpc "$address" describe newsprint.v1.Article
  check "describe shows the reasons of errors, and what to do" \
    '// RESOURCE_EXHAUSTED\. The server has as much in work .* ERROR_REASON_OVERLOADED = 12;' \
    -- rpc "$address" describe newsprint.v1.ErrorReason
  check "describe makes a template of a message" \
    '"article": \{ "articleId": ""' -- rpc -msg-template "$address" describe newsprint.v1.SubmitArticleRequest
  # grpcurl itself takes v1alpha only where there is no v1, so that is asked for by hand.
  local version
  mkdir -p "$work/reflection"
  for version in v1 v1alpha; do
    cat >"$work/reflection/$version.proto" <<PROTO
syntax = "proto3";
package grpc.reflection.$version;
message ServerReflectionRequest { string list_services = 7; }
message ServerReflectionResponse { ListServiceResponse list_services_response = 6; }
message ListServiceResponse { repeated ServiceResponse service = 1; }
message ServiceResponse { string name = 1; }
service ServerReflection {
  rpc ServerReflectionInfo(stream ServerReflectionRequest) returns (stream ServerReflectionResponse);
}
PROTO
    check "reflection $version lists the services" "\"name\": \"$articles\"" \
      -- rpc -import-path "$work/reflection" -proto "$version.proto" -d '{"list_services": "*"}' \
      "$address" "grpc.reflection.$version.ServerReflection/ServerReflectionInfo"
  done
}

test_submit() {
  check "a new article is unique" \
    '"articleId": "tolls", "revision": 1, "submitTime"' '"topic": "politics"' \
    '"verdict": "VERDICT_UNIQUE"' '"canonicalArticleId": "tolls"' '"simhash": "[0-9]+"' '!replayed' \
    -- submit "$(article tolls harbour-tolls.txt)"
  check "the same content under another id is an exact duplicate" \
    '"verdict": "VERDICT_EXACT_DUPLICATE"' '"canonicalArticleId": "tolls"' \
    '"articleId": "tolls", "kind": "MATCH_KIND_EXACT", "hammingDistance": 0, "similarity": 1,' \
    -- submit "$(article tolls-again harbour-tolls.txt)"
  check "edited it is a near duplicate" \
    '"verdict": "VERDICT_NEAR_DUPLICATE"' '"canonicalArticleId": "tolls"' \
    '"articleId": "tolls", "kind": "MATCH_KIND_NEAR"' \
    -- submit "$(article tolls-edited harbour-tolls-edited.txt)"
  check "the same id with the same content is a replay" \
    '"replayed": true' '"verdict": "VERDICT_UNIQUE"' -- submit "$(article tolls harbour-tolls.txt)"
  check "an article about something else is unique" \
    '"verdict": "VERDICT_UNIQUE"' '!"matches"' -- submit "$(article oven stone-oven.txt)"
  check "without an id it is given one" \
    '"articleId": "[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-' -- submit "$(article '' ridge-shelling.txt)"
  check "an analysis says the same" \
    '"verdict": "VERDICT_EXACT_DUPLICATE"' '"articleId": "tolls-edited"' \
    -- call "$articles/AnalyzeArticle" "$(request "$(article analysed harbour-tolls-edited.txt)")"
  check "and remembers nothing" '"code": 5' "$(reason ARTICLE_NOT_FOUND)" \
    -- call "$articles/GetArticle" "{\"collection\": \"$collection\", \"article_id\": \"analysed\"}"
  check "an article is returned as submitted" \
    '"title": "Grain ships to pay twice as much' '"revision": 1' '"verdict": "VERDICT_NEAR_DUPLICATE"' \
    -- call "$articles/GetArticle" "{\"collection\": \"$collection\", \"article_id\": \"tolls-edited\"}"
  check "an article is found by its fingerprint" '"articleId": "tolls-again", "hammingDistance": 0' \
    -- call "$articles/FindSimilar" "{\"collection\": \"$collection\", \"article_id\": \"tolls\"}"
}

test_several() {
  check "a batch answers for each article, in order" \
    '"articleId": "batch-1".*"articleId": "batch-2"' '"verdict": "VERDICT_EXACT_DUPLICATE"' \
    '"error": \{ "code": 3, "message": "articles\[1\]\.title [^"]*"' \
    -- batch "$(article batch-1 ridge-shelling.txt), {\"article_id\": \"blank\"}, $(article batch-2 stone-oven.txt)"
  check "a stream answers in order, and a bad article does not end it" \
    '\{ "articleId": "one", "outcome": .*\} \{ "articleId": "two\\nlines", "error": .*\} \{ "articleId": "three", "outcome": ' \
    '"error": \{ "code": 3, "message": "article\.article_id must not contain control characters"' \
    "$(violation article.article_id)" \
    -- stream "$(article one stone-oven.txt)" "$(article 'two\nlines' stone-oven.txt)" \
    "$(article three ridge-shelling.txt)"
  check "an empty batch is refused" '"code": 3' "$(violation articles)" -- batch ''
}

test_wrong_input() {
  check "an article without text is refused, with the names of its fields" \
    '"code": 3' "$(reason INVALID_FIELDS)" '"domain": "newsprint"' \
    "$(violation article.title)" "$(violation article.body)" \
    -- submit '{"article_id": "blank"}'
  check "an id with a line break is refused" '"code": 3' "$(violation article.article_id)" \
    -- submit "$(article 'two\nlines' stone-oven.txt)"
  check "a missing article is refused" '"code": 3' "$(violation article)" \
    -- call "$articles/SubmitArticle" '{}'
  check "every field at fault is named at once" \
    "$(violation collection)" "$(violation 'options\.max_matches')" "$(violation 'article\.language')" \
    -- call "$articles/SubmitArticle" \
    '{"collection": "Not A Name", "options": {"max_matches": 101}, "article": {"title": "t", "language": "?"}}'
  check "a distance over 64 is refused" '"code": 3' "$(violation max_hamming_distance)" \
    -- call "$articles/FindSimilar" '{"simhash": "1", "max_hamming_distance": 65}'
  check "an unknown method is told by grpcurl itself" 'does not include a method named "Burn"' \
    -- call "$articles/Burn" '{}'
  check "an unknown field is told by grpcurl itself" 'has no known field named headline' \
    -- submit '{"headline": "no such field"}'
  check "a backup's name must not lead elsewhere" '"code": 3' "$(violation name)" \
    -- call "$admin/CreateBackup" '{"name": "../elsewhere"}'
}

# A client with a contract of its own, newer than the server's: what the server says of a method
# that it does not know, and of a field that it does not know.
test_newer_client() {
  mkdir -p "$work/newer"
  cat >"$work/newer/newer.proto" <<'PROTO'
syntax = "proto3";
package newsprint.v1;
message Article { string article_id = 1; string title = 2; string mood = 1000; }
message SubmitArticleRequest { string collection = 1; Article article = 2; }
message SubmitArticleResponse { string collection = 1; string article_id = 2; }
service ArticleService {
  rpc SubmitArticle(SubmitArticleRequest) returns (SubmitArticleResponse);
  rpc BurnArticle(SubmitArticleRequest) returns (SubmitArticleResponse);
}
PROTO
  local newer=(rpc -import-path "$work/newer" -proto newer.proto)
  check "an unknown method is UNIMPLEMENTED" '"code": 12' 'the server knows no such method' \
    -- "${newer[@]}" -d '{}' "$address" "$articles/BurnArticle"
  check "an unknown field is passed over" '"articleId": "newer"' \
    -- "${newer[@]}" -d "$(request '{"article_id": "newer", "title": "From the future", "mood": "calm"}')" \
    "$address" "$articles/SubmitArticle"
}

test_operation() {
  local service
  for service in '' "$articles" "$admin"; do
    check "health of '$service'" '"status": "SERVING"' \
      -- call grpc.health.v1.Health/Check "{\"service\": \"$service\"}"
  done
  check "health of a service that is not there" '"code": 5' \
    -- call grpc.health.v1.Health/Check '{"service": "newsprint.v1.NoService"}'
  check "server info tells versions, limits and topics" \
    '"version": "[0-9]+\.[0-9]+\.[0-9]+"' '"bodyBytesMax": "[0-9]+"' \
    '"fingerprintScheme": "np-simhash64-v2"' '"modelVersion": "[^"]+"' '"topic": "conflict"' \
    -- call "$admin/GetServerInfo" '{}'
  check "collections are listed" "\"collection\": \"$collection\"" -- call "$admin/ListCollections" '{}'
  check "a collection is deleted" '^\{ ?\} ?$' \
    -- call "$admin/DeleteCollection" "{\"collection\": \"$collection\"}"
}

test_reflection
test_submit
test_several
test_wrong_input
test_newer_client
test_operation
finish
