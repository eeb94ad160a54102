//! A cluster as one end of a transfer to or from a store of another kind.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::try_join_all;

use super::layout::{
    ARTICLE, CANDIDATES, HEAD, Head, IdHash, Number, Postings, Submission, fingerprint_to_bytes,
};
use super::link::Access;
use super::look::Looking;
use super::read::{self, NUMBER_END, listed};
use super::registry::Collection;
use super::submit::{delete, entry, join, settle};
use super::{RedisStore, Shared, closing, counting};
use crate::article::{ArticleId, CollectionName, Timestamp};
use crate::duplicates::Counts;
use crate::duplicates::decision::Remembered;
use crate::store::StoreError;
use crate::store::embedded::record::{candidate_from_bytes, write_candidate};
use crate::store::transfer::{Kept, Mark, Moved, Source, Target, Version};

impl RedisStore {
    async fn collection(&self, name: &CollectionName) -> Result<Arc<Collection>, StoreError> {
        let collection = self.shared.registry.find(&self.shared.link, name).await?;
        collection.ok_or_else(|| StoreError::NoCollection(name.clone()))
    }
}

async fn kept(
    shared: &Arc<Shared>,
    collection: &Collection,
    id: IdHash,
) -> Result<Option<Kept>, StoreError> {
    let key = collection.layout.article(id);
    let names = [HEAD, ARTICLE, CANDIDATES[0], CANDIDATES[1]];
    let [head, article, candidates @ ..]: [Vec<u8>; 4] = shared.link.fields(&key, &names).await?;
    let Some(head) = Head::from_bytes(&head) else { return Ok(None) };
    if !collection.horizon().keeps(head.submission(id).time()) {
        return Ok(None);
    }
    let place = || format!("an article of collection '{}'", collection.name);
    let stored = read::decode(&article, collection)?;
    let remembered = &candidates[head.place];
    let remembered = candidate_from_bytes(remembered).map_err(|error| error.at(place))?;
    Ok(Some(Kept {
        stored,
        remembered: Remembered { story: head.story, ..remembered },
        keys: head.postings.keys,
        content_hash: head.content_hash,
    }))
}

#[async_trait]
impl Source for RedisStore {
    async fn collections(&self) -> Result<Vec<Moved>, StoreError> {
        self.shared.registry.refresh(&self.shared.link).await?;
        let moved = |collection: Arc<Collection>| Moved {
            name: collection.name.clone(),
            settings: collection.settings(),
            create_time: collection.create_time,
        };
        let mut collections: Vec<Moved> =
            self.shared.registry.all().into_iter().map(moved).collect();
        collections.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(collections)
    }

    async fn articles(
        &self,
        collection: &CollectionName,
        from: Mark,
        max: usize,
    ) -> Result<(Vec<Kept>, Option<Mark>), StoreError> {
        let collection = self.collection(collection).await?;
        let range = (from.0, NUMBER_END);
        let listed =
            listed(&self.shared, &collection, read::Source::Listing, range, false, max).await?;
        let next = listed.last().filter(|_| listed.len() >= max).map(|&(last, _)| Mark(last + 1));
        let reads = listed.iter().map(|&(_, id)| kept(&self.shared, &collection, id));
        Ok((try_join_all(reads).await?.into_iter().flatten().collect(), next))
    }

    async fn counts(&self, collection: &CollectionName) -> Result<Counts, StoreError> {
        let collection = self.collection(collection).await?;
        self.shared.load_counts(&collection).await?;
        self.shared.catch_up(&collection, false).await?;
        Ok(collection.counts().clone())
    }
}

#[async_trait]
impl Target for RedisStore {
    async fn begin(&self, collection: &Moved) -> Result<(), StoreError> {
        let Moved { name, settings, create_time } = collection;
        let registry = &self.shared.registry;
        registry.adopt(&self.shared.link, name, *settings, *create_time).await.map(drop)
    }

    async fn versions(
        &self,
        collection: &CollectionName,
        ids: &[&ArticleId],
    ) -> Result<Vec<Option<Version>>, StoreError> {
        let collection = &self.collection(collection).await?;
        let reads = ids.iter().map(|id| async move {
            let key = collection.layout.article(IdHash::of(id));
            let [head] = self.shared.link.fields(&key, &[HEAD]).await?;
            Ok(Head::from_bytes(&head).map(|head| Version {
                revision: head.revision,
                submit_time: Timestamp::from_micros(head.number as i64),
                content_hash: head.content_hash,
            }))
        });
        try_join_all(reads).await
    }

    async fn put(
        &self,
        collection: &CollectionName,
        articles: &[Kept],
        replaced: &[ArticleId],
    ) -> Result<(), StoreError> {
        let collection = &*self.collection(collection).await?;
        // What is under an id leaves its lists and its story first.
        let replaced = replaced.iter().map(|id| delete(&self.shared, &collection.name, id));
        try_join_all(replaced).await?;
        // Those of one story one after the other: the first stands for it.
        let mut stories: BTreeMap<u128, Vec<&Kept>> = BTreeMap::new();
        for article in articles {
            stories.entry(article.remembered.story.0.as_u128()).or_default().push(article);
        }
        let puts = stories.into_values().map(|articles| async move {
            for article in articles {
                put(&self.shared, collection, article).await?;
            }
            Ok::<_, StoreError>(())
        });
        try_join_all(puts).await.map(drop)
    }

    async fn put_counts(
        &self,
        collection: &CollectionName,
        counts: &Counts,
    ) -> Result<(), StoreError> {
        let collection = self.collection(collection).await?;
        counting::write(&self.shared, &collection, counts).await
    }
}

/// Enters an article in its lists and its story, and last of all makes it remembered: one that was
/// left half there is not there, and is put again.
async fn put(
    shared: &Arc<Shared>,
    collection: &Collection,
    article: &Kept,
) -> Result<(), StoreError> {
    let Kept { stored, remembered, keys, content_hash } = article;
    let layout = &collection.layout;
    let number = stored.submit_time.micros().max(0) as Number;
    let submission = Submission { number, id: IdHash::of(&stored.article_id) };
    let story = remembered.story;
    let postings = Postings { content: remembered.sketch.content(), keys: keys.clone() };
    let lists = layout.lists(&postings, remembered.fingerprint);
    let entry = entry(submission, remembered.fingerprint, story);
    Looking::new(collection, &lists, &entry, Access::Write).ask(shared, None).await?;
    // Of a story lists have the first article and some of the latest.
    settle(shared, layout, submission.id, &lists, Some(story)).await?;
    if !join(shared, collection, submission, story).await? {
        return Err(closing());
    }
    let canonical = stored.analysis.duplicates.story.as_ref();
    let canonical = canonical.map_or(submission.id, |story| IdHash::of(&story.canonical));
    let mut candidate = Vec::new();
    write_candidate(&mut candidate, remembered)?;
    let key = layout.article(submission.id);
    let shard = layout.shard_of(submission.id);
    let fingerprint = fingerprint_to_bytes(remembered.fingerprint);
    let mut list = redis::cmd("ZADD");
    let member = [&submission.id.bytes()[..], &fingerprint].concat();
    list.arg(layout.listing(shard)).arg(number).arg(member);
    shared.link.write(&layout.listing(shard), list).await?;
    let head = Head {
        number,
        story,
        canonical,
        content_hash: *content_hash,
        first: number,
        revision: stored.revision,
        fingerprint: remembered.fingerprint,
        postings,
        id: stored.article_id.as_str().to_owned(),
        place: 0,
    };
    let mut write = redis::cmd("HSET");
    write.arg(&key).arg(HEAD).arg(head.to_bytes());
    write.arg(CANDIDATES[head.place]).arg(candidate).arg(ARTICLE).arg(read::encode(stored)?);
    shared.link.write(&key, write).await?;
    let ttl = collection.ttl_ms();
    if ttl > 0 {
        let mut expire = redis::cmd("PEXPIRE");
        expire.arg(&key).arg(ttl);
        shared.link.write(&key, expire).await?;
    }
    Ok(())
}
