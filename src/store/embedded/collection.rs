//! A collection as it is held in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fjall::Snapshot;
use parking_lot::{Mutex, RwLock};

use super::index::{Index, Seq};
use super::record::{CollectionNumber, CollectionRecord};
use crate::article::{CollectionName, Timestamp};
use crate::duplicates::Counts;
use crate::duplicates::decision::Remembered;
use crate::store::{CollectionInfo, CollectionSettings};

/// A collection as it is held in memory.
pub struct Collection {
    pub number: CollectionNumber,
    pub name: CollectionName,
    pub create_time: Timestamp,
    /// What the disk has. Only the committer changes it.
    pub published: RwLock<Published>,
    /// What was decided, ahead of the disk. Only the writer looks at it.
    pub decided: Mutex<Decided>,
    /// What is frame here. The committer adds to it what is on the disk.
    pub counts: Counts,
    /// Articles counted since the counts were written to disk.
    counted: AtomicU64,
}

/// What readers see of a collection: it changes as a whole, when a group of changes is on the disk.
#[derive(Debug)]
pub struct Published {
    pub settings: CollectionSettings,
    pub index: Index,
}

/// What the next decision builds on.
#[derive(Debug, Clone, Copy)]
pub struct Decided {
    pub settings: CollectionSettings,
    pub next_seq: Seq,
    /// When the latest submission was made: none is made before it, whatever the clock says.
    pub latest_time: Timestamp,
}

impl Collection {
    pub fn new(name: CollectionName, record: CollectionRecord) -> Self {
        let CollectionRecord { number, settings, create_time } = record;
        let latest_time = Timestamp::from_micros(i64::MIN);
        Collection {
            number,
            name,
            create_time,
            published: RwLock::new(Published { settings, index: Index::default() }),
            decided: Mutex::new(Decided { settings, next_seq: 1, latest_time }),
            counts: Counts::default(),
            counted: AtomicU64::new(0),
        }
    }

    /// Counts an article that is on the disk, and repeats another one; see [`Counts::add`].
    pub fn count(&self, remembered: &Remembered, repeats: Option<&Remembered>) {
        let known = repeats.map(|other| remembered.repeats(other));
        self.counts.add(&remembered.sketch, known);
        self.counted.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether so many articles were counted since the counts were last written. If so, whoever asks
    /// is about to write them.
    pub fn take_counted(&self, at_least: u64) -> bool {
        let counted = self.counted.load(Ordering::Relaxed);
        let is_enough = counted >= at_least.max(1);
        if is_enough {
            self.counted.store(0, Ordering::Relaxed);
        }
        is_enough
    }

    pub fn info(&self) -> CollectionInfo {
        let Published { settings, index } = &*self.published.read();
        CollectionInfo {
            name: self.name.clone(),
            settings: *settings,
            article_count: index.article_count(),
            story_count: index.story_count(),
            create_time: self.create_time,
        }
    }
}

impl Decided {
    /// The number and the time of the next submission.
    pub fn next(&mut self) -> (Seq, Timestamp) {
        let seq = self.next_seq;
        self.next_seq += 1;
        self.latest_time = self.latest_time.max(Timestamp::now());
        (seq, self.latest_time)
    }
}

/// From when on articles are remembered. It is the one answer to whether retention has forgotten
/// an article, whichever way that is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Horizon(pub Option<Timestamp>);

impl Horizon {
    /// As it is now.
    pub fn of(settings: &CollectionSettings) -> Self {
        Horizon(settings.retention.map(|retention| {
            let now = Timestamp::now();
            let seconds = now.seconds.saturating_sub_unsigned(retention.as_secs());
            Timestamp { seconds, ..now }
        }))
    }

    pub fn keeps(self, submit_time: Timestamp) -> bool {
        self.0.is_none_or(|moment| submit_time >= moment)
    }
}

/// The latest committed state of the tree. It is replaced while the collections that changed are
/// locked, so whoever reads it under a collection's lock has what the collection's index shows.
pub type CommittedSnapshot = RwLock<Arc<Snapshot>>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::StoryId;
    use crate::article::ArticleId;
    use crate::duplicates::Sketch;
    use crate::duplicates::decision::Outlet;
    use crate::text::Document;

    fn remembered(source: &str, url: &str, body: &str) -> Remembered {
        Remembered {
            article_id: ArticleId::generate(),
            title: String::new(),
            url: url.to_owned(),
            source: source.to_owned(),
            submit_time: Timestamp::now(),
            fingerprint: None,
            story: StoryId::generate(),
            sketch: Sketch::new(&Document::new("", body)),
        }
    }

    #[test]
    fn what_has_a_part_of_another_outlets_article_is_a_story_all_the_same() {
        let record = CollectionRecord {
            number: 1,
            settings: CollectionSettings::default(),
            create_time: Timestamp::now(),
        };
        let collection = Collection::new(CollectionName::default(), record);
        let quoted = "we shall deepen the channel before the winter comes said the harbour master";
        let first = remembered("Courier", "", &format!("In Velmouth on Tuesday: {quoted}"));
        let other = remembered("Post", "", &format!("{quoted}, and fishermen laughed at that."));
        collection.count(&first, None);
        collection.count(&other, Some(&first));
        assert_eq!(collection.counts.stories(), 2);
        let copy = Remembered { story: first.story, source: "Herald".to_owned(), ..first.clone() };
        collection.count(&copy, Some(&first));
        assert_eq!(collection.counts.stories(), 2);
    }

    #[test]
    fn outlets_are_told_by_source_or_host() {
        let differ = |a: (&str, &str), b: (&str, &str)| {
            Outlet::of(a.0, a.1).is_another(Outlet::of(b.0, b.1))
        };
        assert!(differ(("Courier", ""), ("Post", "")));
        assert!(differ(("", "https://a.example/x?y"), ("", "https://b.example/x")));
        assert!(!differ(("", "https://a.example/x"), ("", "https://a.example/y")));
        assert!(!differ(("Courier", "https://a.example/x"), ("Courier", "https://b.example")));
        assert!(!differ(("", ""), ("Post", "")), "nobody knows");
        assert!(!differ(("", "no address"), ("Post", "")), "nobody knows");
    }
}
