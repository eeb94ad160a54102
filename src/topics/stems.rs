//! What the forms of a word have in common.
//!
//! A few hundred articles hold few forms of every word. So that what is learnt of one form is known
//! of all, they share a weight in training. The stems are rough, a word's first letters in most
//! languages: what they get wrong costs little, because every form has a weight of its own beside.
//! The model file knows nothing of stems: in it stands what a form weighs in all.

/// The stem of a word in lower case, or `None` if the word is known by itself alone.
pub fn stem<'a>(language: &str, word: &'a str) -> Option<&'a str> {
    match language {
        "de" | "fr" | "es" | "pt" => first_letters(word, 6),
        "ru" | "tr" => first_letters(word, 5),
        "ar" => Some(arabic(word)),
        _ => None,
    }
}

fn first_letters(word: &str, count: usize) -> Option<&str> {
    let end = word.char_indices().nth(count).map_or(word.len(), |(end, _)| end);
    (!word.starts_with(|char: char| char.is_ascii_digit())).then_some(&word[..end])
}

/// Without article, conjunction and preposition before, and the commonest endings behind; three
/// letters are left at least (light stemming as Larkey, Ballesteros and Connell 2002 do it).
fn arabic(word: &str) -> &str {
    const BEFORE: [&str; 10] = ["وال", "بال", "فال", "كال", "لل", "ال", "و", "ب", "ل", "ف"];
    const BEHIND: [&str; 10] = ["ات", "ون", "ين", "ها", "ية", "ان", "هم", "ه", "ة", "ي"];
    let is_long = |rest: &&str| rest.chars().count() >= 3;
    let word =
        BEFORE.iter().find_map(|part| word.strip_prefix(part).filter(is_long)).unwrap_or(word);
    BEHIND.iter().find_map(|part| word.strip_suffix(part).filter(is_long)).unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use super::stem;

    #[test]
    fn forms_of_a_word_have_one_stem() {
        let check = |language: &str, forms: &[&str]| {
            let stems: Vec<Option<&str>> = forms.iter().map(|form| stem(language, form)).collect();
            assert!(stems[0].is_some() && stems.iter().all(|it| it == &stems[0]), "{stems:?}");
        };
        check("de", &["handel", "handels", "handelsabkommen"]);
        check("ru", &["пошлины", "пошлинами"]);
        check("tr", &["ihracat", "ihracatı", "ihracatçılar"]);
        check("es", &["aranceles", "arancelarias"]);
        check("ar", &["صادرات", "الصادرات", "والصادرات"]);
        assert_eq!(stem("en", "tariffs"), None);
        assert_eq!(stem("zh", "關"), None);
        assert_eq!(stem("de", "2024"), None);
        assert_eq!(stem("de", ""), Some(""));
    }
}
