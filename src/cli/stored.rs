//! What a server remembers: `newsprint get`, `list`, `delete`, `story` and `similar`.

use std::io::Write;

use anyhow::{Result, bail};
use clap::Args;
use newsprint::api::pb;
use newsprint::api::pb::find_similar_request::Query;
use prost_types::Timestamp;

use super::block_on;
use super::client::Connection;
use super::dates::{parse_moment, written};
use super::output::{self, ProtoJson, Table, visible};

/// The collection, as every command has it.
#[derive(Debug, Args)]
pub struct InCollection {
    /// The collection
    #[arg(long, env = "NEWSPRINT_COLLECTION", value_name = "NAME", default_value = "default")]
    collection: String,
}

/// Show an article as it is remembered
#[derive(Debug, Args)]
pub struct GetArgs {
    /// The article's id
    #[arg(value_name = "ID")]
    id: String,

    #[command(flatten)]
    place: InCollection,

    /// Print a line of JSON, as protobuf has it
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connection: Connection,
}

/// List the articles of a collection, latest first
#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    place: InCollection,

    /// Only articles with this topic
    #[arg(long, value_name = "TOPIC", help_heading = "Which")]
    topic: Option<String>,

    /// Only articles of this story
    #[arg(long, value_name = "STORY", help_heading = "Which")]
    story: Option<String>,

    /// Only articles submitted then or later: a time, or how long ago (2h, 3d)
    #[arg(long, value_name = "TIME", value_parser = parse_moment, help_heading = "Which")]
    since: Option<Timestamp>,

    /// Only articles submitted earlier than that
    #[arg(long, value_name = "TIME", value_parser = parse_moment, help_heading = "Which")]
    before: Option<Timestamp>,

    /// The most articles to list; 0 for all
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 20, help_heading = "Which")]
    limit: usize,

    /// With --json, print bodies too
    #[arg(long, requires = "json")]
    bodies: bool,

    /// Print a line of JSON per article, as protobuf has it
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connection: Connection,
}

/// Forget articles
///
/// A story goes on with what remains of it.
#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// The articles' ids
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,

    #[command(flatten)]
    place: InCollection,

    #[command(flatten)]
    connection: Connection,
}

/// Show a story: its canonical article and those that are near-duplicates of it
#[derive(Debug, Args)]
pub struct StoryArgs {
    /// The story's id, as 'submit' and 'get' tell it
    #[arg(value_name = "STORY")]
    id: String,

    #[command(flatten)]
    place: InCollection,

    /// Print the story as JSON, as protobuf has it, a line per page
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connection: Connection,
}

/// Find the articles whose fingerprints are near to one
///
/// The search is exact: it finds every article within the distance.
#[derive(Debug, Args)]
pub struct SimilarArgs {
    /// The article to start from
    #[arg(value_name = "ID", required_unless_present = "simhash", conflicts_with = "simhash")]
    id: Option<String>,

    /// Start from this fingerprint, a decimal number
    #[arg(long, value_name = "FINGERPRINT")]
    simhash: Option<u64>,

    /// In how many of the 64 bits they may differ
    #[arg(short, long, value_name = "BITS", default_value_t = 3,
        value_parser = clap::value_parser!(i32).range(0..=64))]
    distance: i32,

    /// The most articles to list
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 100,
        value_parser = clap::value_parser!(i32).range(1..=1000))]
    limit: i32,

    #[command(flatten)]
    place: InCollection,

    /// Print the answer as JSON, as protobuf has it
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connection: Connection,
}

pub fn get(args: &GetArgs) -> Result<()> {
    block_on(async {
        let client = args.connection.articles().await?;
        let request = pb::GetArticleRequest {
            collection: args.place.collection.clone(),
            article_id: args.id.clone(),
        };
        let answer = args.connection.call(request, |request| {
            let mut client = client.clone();
            async move { client.get_article(request).await }
        });
        let answer: pb::GetArticleResponse = answer.await?;
        if args.json {
            return ProtoJson::new()?.print("GetArticleResponse", &answer);
        }
        print_article(&answer.stored.unwrap_or_default())
    })
}

fn print_article(stored: &pb::StoredArticle) -> Result<()> {
    let mut out = output::stdout();
    let article = stored.article.clone().unwrap_or_default();
    output::write_title(&mut out, &article, &article.article_id)?;
    let revision = match stored.revision {
        1 => String::new(),
        revision => format!("revision {revision}"),
    };
    let time = |time: Option<&Timestamp>| time.map(written).unwrap_or_default();
    let mut attributes: Vec<_> =
        article.attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
    attributes.sort_unstable();
    for (label, text) in [
        ("id", article.article_id.clone()),
        ("submitted", time(stored.submit_time.as_ref())),
        ("", revision),
        ("published", time(article.publish_time.as_ref())),
        ("source", article.source.clone()),
        ("url", article.url.clone()),
        ("attributes", attributes.join(", ")),
    ] {
        if !text.is_empty() {
            output::write_label(&mut out, label)?;
            writeln!(out, "{}", visible(&text))?;
        }
    }
    if let Some(analysis) = &stored.analysis {
        output::write_analysis(&mut out, analysis, &article.body)?;
    }
    if !article.body.is_empty() {
        writeln!(out)?;
        for line in article.body.lines() {
            writeln!(out, "{}", visible(line))?;
        }
    }
    Ok(())
}

pub fn list(args: &ListArgs) -> Result<()> {
    block_on(async {
        let client = args.connection.articles().await?;
        let limit = if args.limit == 0 { usize::MAX } else { args.limit };
        let json = args.json.then(ProtoJson::new).transpose()?;
        let mut table = articles_table();
        let mut query = pb::ListArticlesRequest {
            collection: args.place.collection.clone(),
            page_size: i32::try_from(limit.min(500))?,
            topic: args.topic.clone().unwrap_or_default(),
            story_id: args.story.clone().unwrap_or_default(),
            submitted_from: args.since,
            submitted_before: args.before,
            ..pb::ListArticlesRequest::default()
        };
        query.set_view(if args.bodies { pb::ArticleView::Full } else { pb::ArticleView::Basic });
        let mut listed = 0;
        let has_more = loop {
            let page = args.connection.call(query.clone(), |request| {
                let mut client = client.clone();
                async move { client.list_articles(request).await }
            });
            let page: pb::ListArticlesResponse = page.await?;
            for stored in &page.articles {
                if listed < limit {
                    match &json {
                        Some(json) => json.print("StoredArticle", stored)?,
                        None => table.add(article_row(stored)),
                    }
                }
                listed += 1;
            }
            if page.next_page_token.is_empty() || listed >= limit {
                break !page.next_page_token.is_empty() || listed > limit;
            }
            query.page_token = page.next_page_token;
        };
        match (json.is_some(), listed) {
            (true, _) => {}
            (false, 0) => output::print_note("no such articles"),
            (false, _) => table.print()?,
        }
        if has_more {
            output::print_note(&format!("there are more; --limit COUNT lists more than {limit}"));
        }
        Ok(())
    })
}

fn articles_table() -> Table {
    Table::new(&["submitted (UTC)", "id", "verdict", "topics", "title"])
}

/// An article in a line.
pub fn article_row(stored: &pb::StoredArticle) -> [String; 5] {
    let (mut id, mut title) = (String::new(), String::new());
    if let Some(article) = &stored.article {
        id.clone_from(&article.article_id);
        title.clone_from(&article.title);
    }
    let analysis = stored.analysis.as_ref();
    let duplicates = analysis.and_then(|analysis| analysis.duplicates.as_ref());
    let verdict = match duplicates.map(pb::DuplicateReport::verdict).unwrap_or_default() {
        pb::Verdict::Unique => "unique",
        pb::Verdict::ExactDuplicate => "exact",
        pb::Verdict::NearDuplicate => "near",
        pb::Verdict::PartialDuplicate => "partial",
        pb::Verdict::InsufficientText => "short",
        pb::Verdict::Unspecified => "?",
    };
    let topics = analysis.and_then(|analysis| analysis.classification.as_ref());
    let topics = topics.into_iter().flat_map(|said| &said.topics);
    let topics: Vec<&str> =
        topics.filter(|score| score.assigned).map(|score| score.topic.as_str()).collect();
    let topics = if topics.is_empty() { "-".to_owned() } else { topics.join(",") };
    let submitted = stored.submit_time.as_ref().map(written).unwrap_or_default();
    [submitted, id, verdict.to_owned(), topics, title]
}

pub fn delete(args: &DeleteArgs) -> Result<()> {
    block_on(async {
        let client = args.connection.articles().await?;
        let mut failed = 0;
        for id in &args.ids {
            let request = pb::DeleteArticleRequest {
                collection: args.place.collection.clone(),
                article_id: id.clone(),
            };
            let answer = args.connection.call(request, |request| {
                let mut client = client.clone();
                async move { client.delete_article(request).await }
            });
            match answer.await {
                Ok(pb::DeleteArticleResponse {}) => {
                    output::print_text(&format!("{} forgotten\n", visible(id)))?;
                }
                Err(error) if args.ids.len() > 1 => {
                    failed += 1;
                    output::print_error(&error.context(format!("{id} was not forgotten")));
                }
                Err(error) => return Err(error),
            }
        }
        match failed {
            0 => Ok(()),
            _ => bail!("{failed} of {} articles were not forgotten", args.ids.len()),
        }
    })
}

pub fn story(args: &StoryArgs) -> Result<()> {
    block_on(async {
        let client = args.connection.articles().await?;
        let json = args.json.then(ProtoJson::new).transpose()?;
        let mut request = pb::GetStoryRequest {
            collection: args.place.collection.clone(),
            story_id: args.id.clone(),
            page_size: 500,
            ..pb::GetStoryRequest::default()
        };
        request.set_view(pb::ArticleView::Basic);
        let mut table = articles_table();
        loop {
            let is_first = request.page_token.is_empty();
            let page = args.connection.call(request.clone(), |request| {
                let mut client = client.clone();
                async move { client.get_story(request).await }
            });
            let page: pb::GetStoryResponse = page.await?;
            if let Some(json) = &json {
                json.print("GetStoryResponse", &page)?;
            }
            // It is on every page.
            let canonical = page.canonical.iter().filter(|_| is_first);
            canonical.chain(&page.members).for_each(|stored| table.add(article_row(stored)));
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        if args.json { Ok(()) } else { table.print() }
    })
}

pub fn similar(args: &SimilarArgs) -> Result<()> {
    block_on(async {
        let client = args.connection.articles().await?;
        let query = match (args.simhash, &args.id) {
            (Some(simhash), _) => Query::Simhash(simhash),
            (None, id) => Query::ArticleId(id.clone().unwrap_or_default()),
        };
        let request = pb::FindSimilarRequest {
            collection: args.place.collection.clone(),
            query: Some(query),
            max_hamming_distance: args.distance,
            max_matches: args.limit,
        };
        let answer = args.connection.call(request, |request| {
            let mut client = client.clone();
            async move { client.find_similar(request).await }
        });
        let answer: pb::FindSimilarResponse = answer.await?;
        if args.json {
            return ProtoJson::new()?.print("FindSimilarResponse", &answer);
        }
        if answer.matches.is_empty() {
            output::print_note(&format!("nothing within {} bits", args.distance));
            return Ok(());
        }
        let mut table = Table::new(&["bits", "id", "submitted (UTC)", "source", "title"]);
        for found in &answer.matches {
            table.add([
                found.hamming_distance.map(|bits| bits.to_string()).unwrap_or_default(),
                found.article_id.clone(),
                found.submit_time.as_ref().map(written).unwrap_or_default(),
                found.source.clone(),
                found.title.clone(),
            ]);
        }
        table.print()?;
        if answer.truncated {
            output::print_note("there are more; --limit COUNT lists more");
        }
        Ok(())
    })
}
