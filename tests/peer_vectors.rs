//! Properties that any SimHash and any Hamming index must have, taken from other projects' test
//! suites. Their texts are not ours to keep, so this runs only where they are:
//!
//!     NEWSPRINT_PEER_VECTORS=DIR cargo test --test peer_vectors

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::PathBuf;

use newsprint::hamming::HammingIndex;
use newsprint::simhash::{fingerprint, hamming_distance, simhash};
use newsprint::text::Document;
use serde_json::Value;

fn read(file: &str) -> Value {
    let folder = std::env::var("NEWSPRINT_PEER_VECTORS").expect("NEWSPRINT_PEER_VECTORS is set");
    let text = std::fs::read_to_string(PathBuf::from(folder).join(file)).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn cases(file: &str) -> Vec<Value> {
    read(file)["cases"].as_array().unwrap().clone()
}

/// A code written as hexadecimal with 0x, or as decimal.
fn code(value: &Value) -> u64 {
    let text = value.as_str().unwrap();
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).unwrap(),
        None => text.parse().unwrap(),
    }
}

fn codes(value: &Value) -> Vec<u64> {
    value.as_array().unwrap().iter().map(code).collect()
}

#[test]
fn distances_are_as_everywhere() {
    let cases = cases("hamming_and_find_all.json");
    let cases: Vec<&Value> = cases.iter().filter(|case| case["fact"] == "hamming").collect();
    assert!(!cases.is_empty());
    for case in cases {
        let distance = hamming_distance(code(&case["a"]), code(&case["b"]));
        assert_eq!(u64::from(distance), case["distance"].as_u64().unwrap(), "{case}");
    }
}

#[test]
fn every_pair_within_a_distance_is_found() {
    let cases = cases("hamming_and_find_all.json");
    let cases: Vec<&Value> = cases.iter().filter(|case| case["pairs"].is_array()).collect();
    assert!(!cases.is_empty());
    for case in cases {
        let codes_held = codes(&case["hashes"]);
        let mut index = HammingIndex::default();
        (0u32..).zip(&codes_held).for_each(|(slot, &code)| index.insert(code, slot));
        let mut found = BTreeSet::new();
        for &query in &codes_held {
            let radius = case["distance"].as_u64().unwrap() as u32;
            let _ = index.search(query, radius, |slot, _| {
                let other = codes_held[slot as usize];
                if other != query {
                    found.insert((query.min(other), query.max(other)));
                }
                ControlFlow::Continue(())
            });
        }
        let pairs = case["pairs"].as_array().unwrap().iter().map(codes);
        let expected: BTreeSet<(u64, u64)> =
            pairs.map(|pair| (pair[0].min(pair[1]), pair[0].max(pair[1]))).collect();
        assert_eq!(found, expected, "{case}");
    }
}

#[test]
fn features_are_folded_by_majority() {
    let cases = cases("fold_and_text_exact.json");
    let cases: Vec<&Value> =
        cases.iter().filter(|case| case["recipe"] == "majority, tie=0").collect();
    assert!(!cases.is_empty());
    for case in cases {
        let features = match &case["feature_hashes"] {
            Value::String(repeated) => {
                let mut words = repeated.split(" repeated ");
                let feature = code(&words.next().unwrap().into());
                let times: usize = words.next().unwrap().replace(" times", "").parse().unwrap();
                vec![feature; times]
            }
            listed => codes(listed),
        };
        assert_eq!(simhash(features.into_iter()), code(&case["simhash"]), "{case}");
    }
}

/// Of the properties of texts those that do not depend on a recipe: equal up to what is folded
/// away means equal codes, other words mean other codes.
#[test]
fn texts_are_equal_when_they_should_be() {
    let cases = cases("text_properties.json");
    let mut checked = 0;
    for case in cases.iter().filter(|case| case["stop_words"].is_null()) {
        let (Some(a), Some(b)) = (case["a"].as_str(), case["b"].as_str()) else { continue };
        let fingerprint = |text: &str| fingerprint(&Document::new("", text));
        // Texts of fewer than five words have no code to compare.
        let (Some(code_a), Some(code_b)) = (fingerprint(a), fingerprint(b)) else { continue };
        match case["distance"].as_str() {
            Some("== 0") => assert_eq!(code_a, code_b, "{case}"),
            Some(other) if other.starts_with("!= 0") || other == "> 0" => {
                assert_ne!(code_a, code_b, "{case}");
            }
            _ => continue,
        }
        checked += 1;
    }
    assert!(checked >= 3, "{checked} cases apply");
}

#[test]
fn chinese_news_is_told_apart() {
    let texts = &read("chinese_news_pairs.json")["texts"];
    let code = |name: &str| {
        fingerprint(&Document::new("", texts[name].as_str().unwrap())).expect("enough characters")
    };
    assert_eq!(code("1"), code("2"));
    assert_eq!(code("3"), code("4"));
    assert!(hamming_distance(code("2"), code("3")) > 16);
}
