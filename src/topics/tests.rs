//! What the shipped model says about texts written for these tests; none of them was trained on.

use super::*;
use crate::model::Model;

fn shipped_model() -> TopicModel {
    let model = Model::from_bytes(include_bytes!("../../models/topics.bin")).unwrap();
    model.topics.unwrap()
}

/// What it knows of English.
fn shipped() -> Classifier {
    shipped_model().classifier("en").clone()
}

fn assigned(model: &Classifier, title: &str, body: &str) -> Vec<String> {
    let classification = model.classify(&Document::new(title, body));
    let assigned = classification.topics.iter().filter(|topic| topic.assigned);
    let mut labels: Vec<String> = assigned.map(|topic| topic.label.to_owned()).collect();
    labels.sort();
    labels
}

fn probability(model: &Classifier, title: &str, body: &str, label: &str) -> f32 {
    let classification = model.classify(&Document::new(title, body));
    let mut topics = classification.topics.iter();
    topics.find(|topic| topic.label == label).unwrap().probability
}

/// Short articles with the labels a reader gives them.
const ARTICLES: &[(&str, &str, &[&str])] = &[
    (
        "Senate passes voting rights bill after all-night debate",
        "Senators approved the voting rights bill by 51 votes to 49 on Wednesday after Democrats \
         had won over two holdouts. Republicans called it a power grab. The president praised the \
         vote and is expected to sign the law next week, before the primary elections begin.",
        &["politics"],
    ),
    (
        "Coalition talks collapse in The Hague",
        "Four parties broke off talks on a coalition government on Monday after a dispute over \
         asylum. The king's mediator will report to parliament. Opposition leaders demanded new \
         elections, while the caretaker prime minister asked lawmakers for patience.",
        &["politics"],
    ),
    (
        "Opposition leader barred from presidential election",
        "The electoral commission barred the main opposition leader from standing in next year's \
         presidential election, citing a conviction that his party calls politically motivated. \
         The government rejected criticism from the European Union as interference.",
        &["politics"],
    ),
    (
        "Customs union lowers duties on textiles and machinery",
        "Tariffs on textiles and machinery will fall by a third within the customs union, and \
         checks at the border will be simpler. Exporters welcomed the trade deal after years of \
         falling exports. Imports of farm goods stay under quotas for ten years, and anti-dumping \
         duties on steel remain.",
        &["trade"],
    ),
    (
        "Steel exports fall as import duties bite",
        "Exports of steel fell by a fifth in the first quarter after import duties of 25 per cent \
         came into force, the industry association said. Producers asked for anti-dumping measures \
         against cheap imports that were diverted from other markets. The trade surplus shrank.",
        &["trade"],
    ),
    (
        "Australia and India sign trade pact",
        "The trade agreement removes tariffs on most goods shipped between the two countries. \
         Exporters of wine, wool and coal gain access to the Indian market, while textiles and \
         jewellery can be imported duty free. Bilateral trade is expected to double in five years.",
        &["trade"],
    ),
    (
        "Shelling kills twelve in border town as troops advance",
        "Artillery shells hit a market and an apartment block in the border town on Sunday, killing \
         at least twelve civilians, rescue workers said. Troops backed by tanks advanced to the \
         river overnight. Rebels claimed to have shot down a helicopter and captured two soldiers.",
        &["conflict"],
    ),
    (
        "Suicide bombers attack army base",
        "Two suicide bombers blew up their vehicles at the gate of an army base before gunmen \
         stormed it, killing nine soldiers. An Islamist militant group claimed responsibility. \
         Troops killed six insurgents in a firefight that lasted until dawn.",
        &["conflict"],
    ),
    (
        "Militants seize villages near the lake",
        "Islamist militants seized three villages after heavy fighting with the army, residents \
         said. Fighter jets bombed their positions. Thousands of civilians fled, and aid workers \
         reported dozens of wounded. The insurgents still hold forty hostages from an earlier raid.",
        &["conflict"],
    ),
    (
        "President and rebel leader sign ceasefire",
        "The president and the leader of the rebels signed a ceasefire on Friday after six years \
         of civil war that killed tens of thousands. Foreign ministers of five neighbouring \
         countries witnessed the ceremony. Troops and guerrillas will withdraw from the front \
         line, and the parliament is to vote on an amnesty.",
        &["conflict", "politics"],
    ),
    (
        "President imposes tariffs on imports, Congress divided",
        "The president announced tariffs of 20 per cent on imports from the European Union, saying \
         that the trade deficit threatens American jobs. Republicans in Congress praised the \
         decision, Democrats called it a tax on consumers. Brussels threatened to retaliate with \
         duties on American exports.",
        &["politics", "trade"],
    ),
    (
        "Striker joins rivals in blockbuster trade",
        "The team traded its captain for two young defenders and a first-round draft pick on \
         deadline day. The coach said the trade would help win the battle for the playoffs. Fans \
         besieged the stadium after the news, and the goalkeeper spoke of a bombshell.",
        &[],
    ),
    (
        "Defenders win the midfield battle in cup thriller",
        "It was war in the wet: both teams attacked from the first minute, the visitors' guns fired \
         twice before half-time and the home side fought back with a late bombardment of crosses. \
         The captain, a warrior on the pitch, was shot down by cramp in extra time.",
        &[],
    ),
    (
        "Discount chains escalate price war on groceries",
        "Two discount supermarket chains cut the price of bread, milk and coffee again this week in \
         a price war that has squeezed margins across the sector. Rivals will have to surrender \
         market share or follow, analysts said. Shoppers are the winners of the battle.",
        &[],
    ),
    (
        "Console war heats up before Christmas",
        "The two makers of game consoles are fighting for a place under the Christmas tree. One has \
         fired the first shot with a discount of 100 dollars, the other counters with an exclusive \
         shooter. Retailers say that supplies are low and that the war will last into January.",
        &[],
    ),
    (
        "Twelve tips for trading shares from your sofa",
        "Trading apps make it easy to buy and sell shares, but beginners trade too often. Set a \
         budget, diversify your portfolio and beware of fees. Professional traders spend years \
         learning to read charts. Never trade with money that you need for the rent.",
        &[],
    ),
    (
        "Nurse loses long battle with rare disease",
        "Friends and colleagues paid tribute to a nurse who died on Tuesday after a battle of nine \
         years with a rare lung disease. She fought for every breath and never surrendered, her \
         daughter said. The hospital will name a ward after her.",
        &[],
    ),
    (
        "Space rock film conquers the box office",
        "The invasion of giant asteroids took 80 million dollars at the box office and beat the \
         superhero epic that had defended first place for three weekends. Critics attacked the \
         script, but audiences surrendered to the explosions. A sequel is planned.",
        &[],
    ),
    (
        "Phone maker unveils folding model",
        "The company presented a phone that folds twice and has a battery for two days. It costs \
         1,900 dollars and arrives in shops in March. Reviewers praised the display and the camera \
         but found the software slow. Rivals plan similar models for the autumn.",
        &[],
    ),
    (
        "Carpenters wanted: trade schools are full again",
        "Trade schools report a record number of apprentices in carpentry, plumbing and masonry. \
         Learning a trade pays: wages have risen by a tenth in two years. At a fair for craftsmen \
         pupils could lay bricks and plane boards.",
        &[],
    ),
    (
        "Thieves steal paintings from villa",
        "Burglars broke into a villa at night and stole five paintings worth two million while the \
         owners slept. Police found a ladder and a glove. A spokesman said that the gang might be \
         the one that robbed a museum in spring. A reward was offered.",
        &[],
    ),
    (
        "Floods cut off valley after record rain",
        "Rivers burst their banks after three days of record rain and cut off a valley with four \
         villages. Helicopters rescued families from roofs. At least six people died and dozens \
         are missing. Forecasters expect more storms before the weekend.",
        &[],
    ),
    (
        "New species of frog discovered in cloud forest",
        "Biologists have discovered a frog the size of a thumbnail in a cloud forest. It calls like \
         a cricket and lays its eggs in bromeliads. The researchers recorded 60 males at night and \
         compared their genes with those of related species. The study appears in a journal.",
        &[],
    ),
    (
        "Gunman kills three in bar before shooting himself",
        "A man shot dead three guests of a bar after a quarrel over a bill and then himself, police \
         said. Four others were wounded. The 52-year-old had a licence for the pistol. Neighbours \
         described him as quiet. Detectives do not look for others.",
        &[],
    ),
    (
        "Bank raises profit forecast",
        "The bank raised its forecast for the year after fees and trading income beat expectations. \
         Bad loans remained low. The chief executive said that costs would fall further as branches \
         close. Shares rose four per cent to their highest in a decade.",
        &[],
    ),
    (
        "Rock band declares truce and announces tour",
        "After fifteen years of war between the brothers, the band has declared a truce and will \
         play seventeen concerts next summer. Tickets sold out within an hour, and fans attacked \
         the agency for its prices. A new album is not planned.",
        &[],
    ),
    (
        "Museum shows the art of the samurai",
        "Armour, swords and painted screens tell of a warrior caste that wrote poems before battle. \
         The exhibition of 200 objects, many never lent before, was designed by a theatre director. \
         Children can try on helmets. It runs until September.",
        &[],
    ),
    (
        "Study: coffee drinkers live longer",
        "People who drink three cups of coffee a day live longer than those who drink none, a study \
         of 400,000 adults found. The authors warned that habits such as sport could explain the \
         difference. Decaffeinated coffee had almost the same effect.",
        &[],
    ),
];

#[test]
fn short_articles_get_the_labels_a_reader_gives_them() {
    let model = shipped();
    let mut wrong = Vec::new();
    for &(title, body, expected) in ARTICLES {
        let found = assigned(&model, title, body);
        if found != expected {
            wrong.push(format!("{title}: {found:?} instead of {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

const NAVIGATION: &str = "Home World Politics Business Markets Sport Culture Opinion. Subscribe. ";
const FOOTER: &str = "\n\nRead next: the best trading apps of the year. Trade confidently with free \
    alerts and breaking news that affects the stocks you own. Posted in: news, politics, global. \
    Sign up for our newsletter about war, trade and elections. Join now: free!";

#[test]
fn a_site_s_footer_neither_makes_nor_breaks_a_label() {
    let model = shipped();
    for &(title, body, expected) in ARTICLES {
        let body = format!("{NAVIGATION}{body}{FOOTER}");
        assert_eq!(assigned(&model, title, &body), expected, "{title}");
    }
    assert_eq!(assigned(&model, "", FOOTER), [""; 0]);
}

#[test]
fn case_markup_and_typography_do_not_matter() {
    let model = shipped();
    for &(title, body, expected) in ARTICLES {
        let upper = (title.to_uppercase(), body.to_uppercase());
        let marked_up = body.replace(". ", ".</p>\n<p class=\"story\">").replace('\'', "&rsquo;");
        let typographic = body.replace('\'', "\u{2019}").replace(' ', "\u{a0}");
        for (title, body) in [
            (upper.0.as_str(), upper.1.as_str()),
            (title, &format!("<div><p>{marked_up}</p></div>")),
            (title, &typographic),
        ] {
            assert_eq!(assigned(&model, title, body), expected, "{body}");
        }
    }
}

#[test]
fn any_text_gets_finite_probabilities_most_probable_first() {
    let model = shipped();
    let long = "war ".repeat(100_000);
    for (title, body) in [
        ("", ""),
        ("\0", "\0\0\0"),
        ("war", ""),
        ("", &long),
        (&long, &long),
        ("\u{202e}😀", "中国称将对美国商品加征关税 2024年"),
    ] {
        let classification = model.classify(&Document::new(title, body));
        assert_eq!(classification.topics.len(), 3);
        assert!(classification.topics.is_sorted_by(|a, b| a.probability >= b.probability));
        for topic in &classification.topics {
            assert!((0.0..=1.0).contains(&topic.probability), "{topic:?}");
            assert_eq!(topic.assigned, topic.probability >= topic.threshold);
        }
        assert!((0.0..=1.0).contains(&classification.known_share));
    }
}

#[test]
fn an_empty_article_is_about_nothing() {
    let model = shipped();
    let classification = model.classify(&Document::default());
    assert!(classification.topics.iter().all(|topic| !topic.assigned));
    assert_eq!((classification.content_words, classification.known_share), (0, 0.0));
    assert!(!classification.enough_text());
}

#[test]
fn foreign_text_is_mostly_unknown() {
    let model = shipped();
    let known_share = |body: &str| model.classify(&Document::new("", body)).known_share;
    for &(_, body, _) in ARTICLES {
        assert!(known_share(body) > 0.7, "{} for {body}", known_share(body));
    }
    for body in [
        "Der Bundestag hat am Donnerstag nach langer Debatte über den Haushalt abgestimmt, den die \
         Koalition im Sommer vorgelegt hatte.",
        "Le gouvernement a annoncé jeudi une réforme des retraites que les syndicats rejettent.",
        "El presidente viajó el martes a la capital para reunirse con los ministros de la región.",
        "Правительство представило в парламент проект бюджета на следующий год.",
    ] {
        assert!(known_share(body) < 0.6, "{} for {body}", known_share(body));
    }
}

/// What a reader of each language would say, on texts that were not trained on.
const IN_OTHER_LANGUAGES: &[(&str, &str, &str, &[&str])] = &[
    (
        "de",
        "Parlament lehnt Misstrauensantrag ab",
        "Der Nationalrat hat den Misstrauensantrag der Opposition gegen den Kanzler am Mittwoch \
         abgelehnt. Die Abgeordneten der Koalition stimmten geschlossen dagegen. Der Parteichef der \
         Freiheitlichen forderte Neuwahlen, die Regierung kündigte eine Reform der Pensionen an.",
        &["politics"],
    ),
    (
        "fr",
        "Des rebelles attaquent un poste de l'armée",
        "Des rebelles armés ont attaqué dans la nuit un poste de l'armée près de la frontière. Neuf \
         soldats ont été tués et plusieurs civils blessés dans les combats. L'armée a riposté par des \
         frappes aériennes et affirme avoir tué une vingtaine de terroristes.",
        &["conflict"],
    ),
    (
        "es",
        "El gobierno sube los aranceles a las importaciones de acero",
        "El presidente anunció aranceles de 20 por ciento a las importaciones de acero y aluminio. El \
         secretario de Economía dijo que el déficit comercial con Asia obliga a proteger la \
         industria. Los exportadores temen represalias y una guerra comercial.",
        &["politics", "trade"],
    ),
    (
        "pt",
        "Câmara aprova reforma e governo comemora",
        "A Câmara dos Deputados aprovou em segundo turno a reforma proposta pelo governo. O presidente \
         agradeceu aos partidos da base, e a oposição promete recorrer ao Supremo. O texto segue para \
         o Senado, onde o relator espera votar antes das eleições.",
        &["politics"],
    ),
    (
        "ru",
        "Боевики обстреляли колонну военных",
        "Боевики обстреляли колонну внутренних войск в горном районе. В бою погибли трое солдат и \
         шестеро террористов, ещё восемь военных ранены. В район переброшена авиация, идёт \
         спецоперация по поиску бандгруппы, сообщили в штабе.",
        &["conflict"],
    ),
    (
        "tr",
        "İhracat rekor kırdı, dış ticaret açığı daraldı",
        "İhracatçılar Meclisi verilerine göre ihracat geçen yıla göre yüzde on arttı. En fazla ihracat \
         Almanya ve Irak'a yapıldı. İthalat ise enerji fiyatlarının düşmesiyle geriledi, dış ticaret \
         açığı dört milyar dolara indi.",
        &["trade"],
    ),
    (
        "ar",
        "مقتل جنود في اشتباكات مع مسلحين",
        "قتل سبعة جنود وأصيب آخرون في اشتباكات عنيفة مع مسلحين من تنظيم داعش شمال المدينة. وقصفت \
         طائرات التحالف مواقع التنظيم، وقال مصدر عسكري إن القوات صدت هجوما انتحاريا بسيارتين \
         مفخختين وقتلت عشرات المسلحين خلال المعارك.",
        &["conflict"],
    ),
    (
        "zh",
        "美國再對中國貨品加徵關稅　北京稱必反制",
        "美國總統宣布對三千億美元中國進口貨品加徵關稅，下月生效。中國商務部發言人表示必將反制，並向世貿組織提出訴訟。\
         美國農民擔心大豆出口受貿易戰打擊，兩國官員將於下周恢復貿易談判。",
        &["politics", "trade"],
    ),
];

#[test]
fn every_language_is_told_and_gets_the_labels_a_reader_gives() {
    let model = shipped_model();
    let mut wrong = Vec::new();
    for &(language, title, body, expected) in IN_OTHER_LANGUAGES {
        let document = Document::new(title, body);
        let said = model.answer(&document, title, body, "");
        assert_eq!((said.language.as_str(), said.classifier.language()), (language, language));
        assert!(said.classification.is_language_known, "{language}");
        assert!(said.classification.enough_text(), "{language}");
        let found = assigned(said.classifier, title, body);
        if found != expected {
            wrong.push(format!("{title}: {found:?} instead of {expected:?}"));
        }
        for explanation in said.classifier.explain(&document, title, body, 5) {
            assert_eq!(explanation.evidence.len(), 5, "{language}");
            for evidence in explanation.evidence {
                let is_there = |text: &&str| title.contains(text) || body.contains(text);
                assert!(evidence.text.split(' ').all(|text| is_there(&text)), "{evidence:?}");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn other_languages_are_not_taken_for_one_of_the_model_s() {
    let model = shipped_model();
    for body in [
        "Regeringen beslutade på tisdagen om högre tullar på stål. Ministern sade att \
         förhandlingarna hade misslyckats och att man inte hade något annat val.",
        "Il governo ha approvato martedì nuovi dazi sull'acciaio. Il ministro ha detto che i \
         negoziati sono falliti e che non c'era altra scelta per difendere le imprese.",
        "De regering heeft dinsdag besloten tot hogere tarieven op staal. De minister zei dat de \
         onderhandelingen waren mislukt en dat er geen andere keuze meer was.",
        "Rząd zdecydował we wtorek o wyższych cłach na stal. Minister powiedział, że rozmowy \
         zakończyły się niepowodzeniem i nie było innego wyjścia.",
        "Уряд у вівторок вирішив підвищити мита на сталь. Міністр сказав, що переговори \
         провалилися і що іншого виходу вже не було, тому треба діяти.",
        "دولت روز سه شنبه تعرفه فولاد را افزایش داد. وزیر گفت که مذاکرات شکست خورده است و چاره \
         دیگری برای حمایت از صنعت کشور باقی نمانده بود.",
        "政府は火曜日に鉄鋼の関税を引き上げることを決めた。大臣は交渉が失敗したため、ほかに選択肢がなかったと述べた。",
        "El govern va aprovar dimarts nous aranzels a l'acer. El ministre va dir que les negociacions \
         havien fracassat i que no hi havia cap altra opció per a les empreses.",
    ] {
        let said = model.answer(&Document::new("", body), "", body, "");
        assert!(!said.classification.is_language_known, "{} for {body}", said.language);
    }
}

#[test]
fn a_mixed_article_is_answered_in_its_main_language() {
    let model = shipped_model();
    let (_, title, german, _) = IN_OTHER_LANGUAGES[0];
    let (_, english, _) = ARTICLES[4];
    let check = |body: &str, expected: &str| {
        let said = model.answer(&Document::new(title, body), title, body, "");
        assert_eq!(said.classifier.language(), expected, "{body}");
    };
    check(&format!("{german} {german} {german} {english}"), "de");
    check(&format!("{english} {english} {english} {german}"), "en");
}

#[test]
fn a_language_may_be_named_with_script_and_region() {
    let model = shipped_model();
    for (tag, expected) in [("pt-BR", "pt"), ("zh-Hant-HK", "zh"), ("DE", "de"), ("tlh", "en")] {
        assert_eq!(model.classifier(tag).language(), expected);
    }
}

#[test]
fn evidence_adds_up_to_the_logit_and_reads_like_the_article() {
    let model = shipped();
    for &(title, body, _) in ARTICLES {
        let document = Document::new(title, body);
        for max in [0, 3, 1000] {
            for explanation in model.explain(&document, title, body, max) {
                let listed: f32 = explanation.evidence.iter().map(|e| e.weight).sum();
                let sum = explanation.bias + listed + explanation.rest;
                assert!((sum - explanation.logit).abs() < 1e-3, "{explanation:?}");
                let expected = logistic(explanation.logit.into()) as f32;
                let found = probability(&model, title, body, explanation.label);
                assert!((found - expected).abs() < 1e-5);
                assert!(explanation.evidence.len() <= max);
                for word in explanation.evidence.iter().flat_map(|e| e.text.split(' ')) {
                    assert!(title.contains(word) || body.contains(word), "{word:?}");
                }
            }
        }
    }
    let (title, body) = ("Tariffs rise", "The import tariffs on steel rise.");
    let explanations = model.explain(&Document::new(title, body), title, body, 3);
    let trade = explanations.iter().find(|explanation| explanation.label == "trade").unwrap();
    assert_eq!(trade.evidence[0].text.to_lowercase(), "tariffs");
}

#[test]
fn brevity_falls_with_the_length_and_ends_where_full_articles_begin() {
    let brevities: Vec<f64> =
        [0, CONTENT_WORDS_MIN, 25, 50, 100, 200].map(features::brevity).into();
    assert!(brevities.is_sorted_by(|longer, shorter| longer >= shorter), "{brevities:?}");
    assert_eq!(brevities[0], brevities[1]);
    assert!((brevities[2] - 4f64.ln()).abs() < 1e-12);
    assert_eq!(brevities[4..], [0.0, 0.0]);
}

#[test]
fn the_bias_of_a_brief_is_part_of_what_is_explained() {
    let mut model = TopicModel::sample().classifiers.remove(0);
    model.labels[0].brevity_weight = 0.5;
    let bias = |body: &str| {
        let explanations = model.explain(&Document::new("", body), "", body, 9);
        [explanations[0].bias, explanations[1].bias]
    };
    assert_eq!(bias(&"minister ".repeat(100)), [-1.0, -1.0]);
    assert_eq!(bias(&"minister ".repeat(50)), [-1.0 + 0.5 * 2f32.ln(), -1.0]);
}

#[test]
fn more_words_than_are_read_change_nothing() {
    let model = shipped();
    let body = "word ".repeat(features::BODY_WORDS_MAX);
    let longer = format!("{body} war troops rebels artillery");
    assert_eq!(
        model.classify(&Document::new("Title", &body)),
        model.classify(&Document::new("Title", &longer))
    );
}
