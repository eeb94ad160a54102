//! A committed moment of one collection, and the look for candidates in it.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use fjall::{Keyspace, Readable, Snapshot};
use metrics::{counter, histogram};

use super::collection::{Collection, Horizon, Published};
use super::index::{Candidates, Entry, Index, Seq, StoryNumber, Wanted, content_tag};
use super::record::{
    self, CollectionNumber, IdRecord, IndexRecord, Malformed, article_from_bytes,
    candidate_from_bytes, id_key, place, seq_key, story_key,
};
use super::{CommitNumber, Core};
use crate::analysis::{DuplicateReport, StoryId};
use crate::article::ArticleId;
use crate::duplicates::decision::{Decision, Findings, Question, Remembered, Shelf};
use crate::duplicates::{Counts, Probe};
use crate::store::{CollectionSettings, Prepared, StoreError, StoredArticle};

/// Candidates that are ranked for a second look: more than are ever looked at.
const CANDIDATES_MAX: usize = 128;

/// A committed moment of a collection. Everything read through it belongs together.
pub struct View<'c> {
    core: &'c Core,
    pub collection: &'c Collection,
    snapshot: Arc<Snapshot>,
    pub settings: CollectionSettings,
    pub horizon: Horizon,
    /// Every commit up to this one is seen, and perhaps later ones.
    pub commit: CommitNumber,
}

/// What was found for an article before its turn came.
pub struct Looked {
    pub commit: CommitNumber,
    pub findings: Findings<Seq>,
    /// What stands under the article's id.
    pub id: Option<IdRecord>,
    /// What is remembered under the article's id, if that is the same content. Then nothing else
    /// was looked for.
    pub same: Option<StoredArticle>,
    collection: Option<CollectionNumber>,
}

impl<'c> View<'c> {
    pub fn new(core: &'c Core, collection: &'c Collection) -> Self {
        Self::with(core, collection, |_, _| ()).0
    }

    /// A view, and what is read of the index at the same moment.
    pub fn with<T>(
        core: &'c Core,
        collection: &'c Collection,
        read: impl FnOnce(&Published, Horizon) -> T,
    ) -> (Self, T) {
        // In this order: what is committed between the two is seen, and nothing is missed.
        let commit = core.published.load(Ordering::Acquire);
        let published = collection.published.read();
        let settings = published.settings;
        let horizon = Horizon::of(&settings);
        let snapshot = Arc::clone(&core.snapshot.read());
        let read = read(&published, horizon);
        (View { core, collection, snapshot, settings, horizon, commit }, read)
    }

    /// Reads a row, by which of several kinds of record it is.
    fn row<T>(
        &self,
        table: &Keyspace,
        key: impl AsRef<[u8]>,
        decode: impl FnOnce(&[u8]) -> Result<T, Malformed>,
        place: impl FnOnce() -> String,
    ) -> Result<Option<T>, StoreError> {
        let Some(value) = self.snapshot.get(table, key)? else { return Ok(None) };
        decode(&value).map(Some).map_err(|malformed| malformed.at(place))
    }

    fn key(&self, seq: Seq) -> [u8; 12] {
        seq_key(self.collection.number, seq)
    }

    pub fn id(&self, id: &ArticleId) -> Result<Option<IdRecord>, StoreError> {
        let key = id_key(self.collection.number, id);
        let place = || format!("the id '{id}' of collection '{}'", self.collection.name);
        self.row(&self.core.tables.ids, key, IdRecord::from_bytes, place)
    }

    pub fn index_record(&self, seq: Seq) -> Result<Option<IndexRecord>, StoreError> {
        let place = place("index entry", &self.collection.name, seq);
        self.row(&self.core.tables.index, self.key(seq), IndexRecord::from_bytes, place)
    }

    /// An article, unless retention has it forgotten.
    pub fn article(&self, seq: Seq) -> Result<Option<StoredArticle>, StoreError> {
        let place = place("article", &self.collection.name, seq);
        let article =
            self.row(&self.core.tables.articles, self.key(seq), article_from_bytes, place)?;
        Ok(article.filter(|article| self.horizon.keeps(article.submit_time)))
    }

    /// What an article is compared and described by. The same submission is always the same, so
    /// what was read lately is kept.
    pub fn remembered(&self, seq: Seq) -> Result<Option<Arc<Remembered>>, StoreError> {
        let key = (self.collection.number, seq);
        if let Some(remembered) = self.core.candidates.get(&key) {
            return Ok(Some(remembered));
        }
        let place = place("candidate", &self.collection.name, seq);
        let table = &self.core.tables.candidates;
        let read = self.row(table, self.key(seq), candidate_from_bytes, place)?;
        Ok(read.map(|remembered| {
            let remembered = Arc::new(remembered);
            self.core.candidates.insert(key, Arc::clone(&remembered));
            remembered
        }))
    }

    /// The number of a story.
    pub fn story(&self, story: StoryId) -> Result<Option<StoryNumber>, StoreError> {
        let key = story_key(self.collection.number, story);
        let place = || format!("story {story} of collection '{}'", self.collection.name);
        let number = self.row(&self.core.tables.stories, key, record::number_from_bytes, place)?;
        Ok(number.map(StoryNumber))
    }
}

/// The question that a prepared article is.
pub fn question<'p>(
    prepared: &'p Prepared,
    settings: &CollectionSettings,
    counts: &'p Counts,
    is_revision: bool,
) -> Question<'p> {
    let mut judge = Cow::Borrowed(&*prepared.judge);
    if let Some(threshold) = settings.near_threshold {
        judge.to_mut().near_threshold = threshold as f32;
    }
    if let Some(threshold) = settings.partial_threshold {
        judge.to_mut().partial_threshold = threshold as f32;
    }
    let probe = Probe::new(&prepared.sketch, counts).with_shingles(prepared.shingles.as_ref());
    Question {
        fingerprint: prepared.fingerprint,
        source: &prepared.article.source,
        word_count: prepared.word_count,
        judge,
        probe: if is_revision { probe.revised() } else { probe },
        matches_max: prepared.matches_max,
    }
}

/// Articles on the shelf of a view. Which article stands for a candidate's story is asked of the
/// index together with the candidates.
struct ViewShelf<'v, 'c> {
    view: &'v View<'c>,
    firsts: Vec<(Seq, [Option<Seq>; 2])>,
    /// The article's own earlier revision, which does not count.
    itself: Option<Seq>,
}

impl Shelf for ViewShelf<'_, '_> {
    type Key = Seq;
    type Error = StoreError;

    fn read(&self, seq: Seq) -> Result<Option<Arc<Remembered>>, StoreError> {
        readable(self.view.remembered(seq))
    }

    fn canonical(&self, member: Seq) -> Result<Option<Seq>, StoreError> {
        let firsts = self.firsts.iter().find(|(known, _)| *known == member);
        let firsts = firsts.into_iter().flat_map(|(_, firsts)| firsts.iter().flatten());
        Ok(firsts.copied().find(|&first| Some(first) != self.itself))
    }
}

/// A candidate that cannot be read does not keep others from being found: it counts as not there,
/// and is told of in the log. That the disk cannot be reached is another matter.
pub fn readable<T>(read: Result<Option<T>, StoreError>) -> Result<Option<T>, StoreError> {
    match read {
        Err(StoreError::Damaged(damage)) => {
            counter!("newsprint_damaged_records_total").increment(1);
            tracing::error!(%damage, "a candidate cannot be read, and is passed over");
            Ok(None)
        }
        read => read,
    }
}

/// Candidates for an article, and which articles stand for their stories.
struct Found {
    candidates: Candidates,
    /// The first two articles of every candidate's story: one of them may be the article's own
    /// earlier revision.
    firsts: Vec<(Seq, [Option<Seq>; 2])>,
}

impl Found {
    fn new(
        prepared: &Prepared,
        published: &Published,
        horizon: Horizon,
        is_gone: impl Fn(Seq) -> bool,
    ) -> Self {
        let Published { settings, index } = published;
        let is_remembered = |seq, entry: Entry| horizon.keeps(entry.submit_time) && !is_gone(seq);
        let wanted = Wanted {
            fingerprint: prepared.fingerprint,
            radius: settings.candidate_hamming_distance,
            keys: &prepared.keys,
            content_tag: content_tag(prepared.sketch.content()),
            max: CANDIDATES_MAX,
        };
        let candidates = index.candidates(wanted, is_remembered);
        let firsts = |&seq: &Seq| {
            let mut members = members(index, index.entry(seq)?.story, &is_remembered);
            Some((seq, [members.next(), members.next()]))
        };
        let firsts = candidates.seqs.iter().filter_map(firsts).collect();
        Found { candidates, firsts }
    }
}

/// The articles of a story that are remembered.
pub fn members(
    index: &Index,
    story: StoryNumber,
    is_remembered: impl Fn(Seq, Entry) -> bool,
) -> impl Iterator<Item = Seq> {
    index.story_members(story).filter(move |&member| {
        index.entry(member).is_some_and(|entry| is_remembered(member, entry))
    })
}

impl Looked {
    /// In a collection that is not there.
    pub fn nothing(commit: CommitNumber) -> Self {
        Looked { commit, findings: Findings::default(), id: None, same: None, collection: None }
    }

    /// Whether it was looked for in this collection, or in none as it was not there.
    pub fn is_of(&self, collection: &Collection) -> bool {
        self.collection.is_none_or(|number| number == collection.number)
    }

    /// Looks for remembered articles like this one, other than what stands under its own id and
    /// what `is_gone` in the eyes of whoever asks.
    pub fn new(
        core: &Core,
        collection: &Collection,
        prepared: &Prepared,
        is_gone: impl Fn(Seq) -> bool,
    ) -> Result<Self, StoreError> {
        let began = Instant::now();
        let look = Look::new(core, collection, prepared, is_gone)?;
        let mut looked = Looked {
            collection: Some(collection.number),
            id: look.id,
            ..Looked::nothing(look.view.commit)
        };
        if let Some(record) = looked.id
            && record.content_hash == prepared.content_hash
        {
            looked.same = look.view.article(record.seq)?;
            if looked.same.is_some() {
                return Ok(looked);
            }
        }
        looked.findings = look.compare(prepared, began, |_, _, findings| Ok(findings))?;
        Ok(looked)
    }
}

/// Counts a look-up that is done, and the candidates that it had.
fn measure(began: Instant, candidates: usize, is_truncated: bool) {
    histogram!("newsprint_lookup_seconds").record(began.elapsed().as_secs_f64());
    histogram!("newsprint_lookup_candidates").record(candidates as f64);
    if is_truncated {
        counter!("newsprint_lookups_truncated_total").increment(1);
    }
}

/// What a submission of this article would be told.
pub fn report(
    core: &Core,
    collection: &Collection,
    prepared: &Prepared,
) -> Result<(DuplicateReport, Vec<Seq>), StoreError> {
    let began = Instant::now();
    let nothing_is_gone = |_| false;
    let look = Look::new(core, collection, prepared, nothing_is_gone)?;
    look.compare(prepared, began, |question, shelf, findings| {
        Ok(reported(question.decide(shelf, findings)?))
    })
}

/// A view with candidates for an article in it.
struct Look<'c> {
    view: View<'c>,
    found: Found,
    /// What stands under the article's id.
    id: Option<IdRecord>,
}

impl<'c> Look<'c> {
    fn new(
        core: &'c Core,
        collection: &'c Collection,
        prepared: &Prepared,
        is_gone: impl Fn(Seq) -> bool,
    ) -> Result<Self, StoreError> {
        let found =
            |published: &Published, horizon| Found::new(prepared, published, horizon, is_gone);
        let (view, found) = View::with(core, collection, found);
        let id = prepared.article_id.as_ref().map(|id| view.id(id)).transpose()?.flatten();
        Ok(Look { view, found, id })
    }

    /// Compares the candidates with the article, for which the look began at that moment, and does something with what was found.
    fn compare<T>(
        self,
        prepared: &Prepared,
        began: Instant,
        then: impl FnOnce(&Question, &ViewShelf, Findings<Seq>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let Look { view, found: Found { candidates, firsts }, id } = self;
        let count = candidates.seqs.len();
        let shelf = ViewShelf { view: &view, firsts, itself: id.map(|record| record.seq) };
        let others = candidates.seqs.into_iter().filter(|&seq| Some(seq) != shelf.itself);
        let counts = &view.collection.counts;
        let question = question(prepared, &view.settings, counts, id.is_some());
        let mut findings = Findings::default();
        findings.truncated = candidates.truncated;
        question.compare(&shelf, others, &mut findings)?;
        measure(began, count, findings.truncated);
        then(&question, &shelf, findings)
    }
}

/// A decision as it is reported, and the articles that its matches are.
pub fn reported(decision: Decision<Seq>) -> (DuplicateReport, Vec<Seq>) {
    let (seqs, matches) = decision.matches.into_iter().unzip();
    let story = decision.joins.map(|(_, story)| story);
    let Decision { verdict, truncated, .. } = decision;
    (DuplicateReport { verdict, story, matches, truncated }, seqs)
}

/// The report on an article in a collection that is not there.
pub fn report_on_nothing(prepared: &Prepared) -> Result<DuplicateReport, StoreError> {
    struct Empty;

    impl Shelf for Empty {
        type Key = Seq;
        type Error = StoreError;

        fn read(&self, _: Seq) -> Result<Option<Arc<Remembered>>, StoreError> {
            Ok(None)
        }

        fn canonical(&self, _: Seq) -> Result<Option<Seq>, StoreError> {
            Ok(None)
        }
    }

    let counts = Counts::default();
    let question = question(prepared, &CollectionSettings::default(), &counts, false);
    Ok(reported(question.decide(&Empty, Findings::default())?).0)
}
