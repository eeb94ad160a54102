//! Points in time and spans of it as people and programs write them.

use std::time::Duration;

use jiff::civil::DateTime;
use jiff::fmt::{rfc2822, strtime};
use jiff::tz::Offset;
use jiff::{Span, SpanRelativeTo, Timestamp};

/// Written out, or as GDELT has it. The order of day and month is never guessed: 05/06/2026 is no
/// date.
const FORMATS: [&str; 16] = [
    "%Y%m%dT%H%M%SZ",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d",
    "%B %d, %Y %H:%M",
    "%B %d, %Y",
    "%B %d %Y",
    "%A, %B %d, %Y",
    "%A, %d %B %Y",
    "%d %B %Y %H:%M",
    "%d %B %Y",
    "%d %B, %Y",
    "%d-%b-%Y",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y",
    "%a %b %d %H:%M:%S %Y",
];

/// Reads a point in time; UTC where it names no zone.
pub fn parse(text: &str) -> Option<prost_types::Timestamp> {
    let text = text.trim();
    let time = from_number(text)
        .or_else(|| text.parse().ok())
        .or_else(|| utc(text.parse().ok()?))
        .or_else(|| rfc2822::DateTimeParser::new().parse_timestamp(text).ok())
        .or_else(|| FORMATS.iter().find_map(|format| with_format(format, text)))
        // Months may be cut short.
        .or_else(|| FORMATS.iter().find_map(|it| with_format(&it.replace("%B", "%b"), text)))?;
    Some(prost_types::Timestamp { seconds: time.as_second(), nanos: time.subsec_nanosecond() })
}

/// Seconds or milliseconds since 1970, or the digits of a date.
fn from_number(text: &str) -> Option<Timestamp> {
    let digits = text.split_once('.').map_or(text, |(whole, _)| whole);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    match digits.len() {
        8 => with_format("%Y%m%d", digits),
        14 => with_format("%Y%m%d%H%M%S", digits),
        9 | 10 => Timestamp::from_second(digits.parse().ok()?).ok(),
        12 | 13 => Timestamp::from_millisecond(digits.parse().ok()?).ok(),
        _ => None,
    }
}

fn with_format(format: &str, text: &str) -> Option<Timestamp> {
    let parts = strtime::parse(format, text).ok()?;
    let date = parts.to_date().ok()?;
    utc(parts.to_time().map_or_else(|_| date.at(0, 0, 0, 0), |time| date.to_datetime(time)))
}

fn utc(time: DateTime) -> Option<Timestamp> {
    Offset::UTC.to_timestamp(time).ok()
}

/// A point in time, or how long ago it was: "2h", "3 days".
pub fn parse_moment(text: &str) -> Result<prost_types::Timestamp, String> {
    if let Some(time) = parse(text) {
        return Ok(time);
    }
    let ago = parse_duration(text).map_err(|_| {
        format!("'{text}' is neither a time such as 2026-04-01T08:30:00Z nor one ago, such as 2h")
    })?;
    let now = Timestamp::now();
    let time = i64::try_from(ago.as_secs()).ok().and_then(|ago| now.as_second().checked_sub(ago));
    time.map(|seconds| prost_types::Timestamp { seconds, nanos: 0 })
        .ok_or_else(|| format!("'{text}' is too long ago"))
}

/// A span of time: "30d", "12h", "1h 30m". A day has 24 hours.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is no span of time such as 30d, 12h or 90m");
    let span: Span = text.trim().parse().map_err(|_| wrong())?;
    let span = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
    Duration::try_from(span).map_err(|_| wrong())
}

/// A point in time to the second, in UTC.
pub fn written(time: &prost_types::Timestamp) -> String {
    match Timestamp::from_second(time.seconds) {
        Ok(time) => strtime::format("%Y-%m-%d %H:%M:%S", time).unwrap_or_default(),
        Err(_) => String::new(),
    }
}

/// A span of time in the largest units that hold it exactly.
pub fn written_duration(duration: &prost_types::Duration) -> String {
    let seconds = duration.seconds;
    for (unit, length) in [("d", 86_400), ("h", 3600), ("m", 60)] {
        if seconds > 0 && seconds % length == 0 {
            return format!("{}{unit}", seconds / length);
        }
    }
    format!("{seconds}s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_however_they_are_written() {
        let seconds = |text: &str| parse(text).map(|time| time.seconds);
        for text in [
            "2026-04-01",
            "2026-04-01T00:00:00Z",
            "2026-04-01T02:00:00+02:00",
            "2026-04-01 00:00:00",
            "2026-04-01T00:00:00.000Z",
            "Wed, 01 Apr 2026 00:00:00 GMT",
            "Wed, 01 Apr 2026 00:00:00 +0000",
            "20260401T000000Z",
            "20260401000000",
            "20260401",
            "1775001600",
            "1775001600.0",
            "1775001600000",
            "April 1, 2026",
            "Apr 1 2026",
            "1 April 2026",
            "01-Apr-2026",
            "1.4.2026",
            "2026/04/01",
        ] {
            assert_eq!(seconds(text), Some(1_775_001_600), "{text}");
        }
        assert_eq!(seconds("May 5 2024"), Some(1_714_867_200));
        assert_eq!(parse("2026-04-01T00:00:00.5Z").map(|time| time.nanos), Some(500_000_000));
        for text in ["", "last week", "17", "05/06/2026", "2026-13-01", "null"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn spans_are_read_and_written() {
        for (text, seconds) in [("30d", 2_592_000), ("12h", 43_200), ("1h 30m", 5400), ("90 s", 90)]
        {
            assert_eq!(parse_duration(text).map(|span| span.as_secs()), Ok(seconds), "{text}");
        }
        for text in ["", "soon", "30", "-1h", "1y"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        let written = |seconds| written_duration(&prost_types::Duration { seconds, nanos: 0 });
        assert_eq!([2_592_000, 5400, 61, 0].map(written), ["30d", "90m", "61s", "0s"]);
        assert!(parse_moment("1h").unwrap().seconds < parse_moment("1m").unwrap().seconds);
        assert!(parse_moment("lately").unwrap_err().contains("lately"));
    }
}
