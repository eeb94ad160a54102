//! From logits to probabilities that mean what they say, and from those to a threshold.

use super::logistic;

/// A held-out article, scored and settled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    pub logit: f64,
    /// See [`super::features::brevity`].
    pub brevity: f64,
    pub truth: bool,
    pub weight: f64,
}

/// `P(positive) = logistic(slope · logit + offset + brevity_weight · brevity)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calibration {
    pub slope: f64,
    pub offset: f64,
    pub brevity_weight: f64,
}

impl Calibration {
    /// Slope and offset from the articles that the model is for, then the weight of brevity from
    /// briefs: what is learnt from these cannot disturb the others.
    pub fn fit(scored: &[Scored], briefs: &[Scored]) -> Self {
        let (slope, offset) = platt(scored);
        let mut calibration = Calibration { slope, offset, brevity_weight: 0.0 };
        calibration.brevity_weight = calibration.fit_brevity(briefs);
        calibration
    }

    pub fn probability(&self, scored: &Scored) -> f64 {
        let brevity = self.brevity_weight * scored.brevity;
        logistic(self.slope * scored.logit + self.offset + brevity)
    }

    /// Newton's method for the one parameter.
    fn fit_brevity(mut self, briefs: &[Scored]) -> f64 {
        for _ in 0..100 {
            let mut gradient = BREVITY_PENALTY * self.brevity_weight;
            let mut curvature = BREVITY_PENALTY;
            for brief in briefs {
                let probability = self.probability(brief);
                let error = probability - f64::from(u8::from(brief.truth));
                gradient += brief.weight * error * brief.brevity;
                curvature +=
                    brief.weight * probability * (1.0 - probability) * brief.brevity.powi(2);
            }
            // Where all are certain the curvature is nearly nothing, and a full step far too long.
            let step = (gradient / curvature).clamp(-0.5, 0.5);
            self.brevity_weight -= step;
            if step.abs() < 1e-9 {
                break;
            }
        }
        self.brevity_weight
    }
}

/// Keeps the weight of brevity near 0 where a few articles, or none, say how much it is.
const BREVITY_PENALTY: f64 = 1.0;

/// Platt's calibration (1999), by Newton's method with step halving as Lin, Lin and Weng (2007)
/// advise. Platt's targets, not quite 0 and 1, keep it finite where a threshold separates all.
fn platt(scored: &[Scored]) -> (f64, f64) {
    let positives = scored.iter().filter(|scored| scored.truth).count() as f64;
    let negatives = scored.len() as f64 - positives;
    let target = |truth: bool| match truth {
        true => (positives + 1.0) / (positives + 2.0),
        false => 1.0 / (negatives + 2.0),
    };
    let loss = |slope: f64, offset: f64| -> f64 {
        let losses = scored.iter().map(|&Scored { logit, truth, weight, .. }| {
            let z = slope * logit + offset;
            // ln(1 + e^z) without overflow.
            weight * (z.max(0.0) + libm::log1p(libm::exp(-z.abs())) - target(truth) * z)
        });
        losses.sum()
    };
    let (mut slope, mut offset) = (1.0, 0.0);
    for _ in 0..100 {
        let (mut d_slope, mut d_offset) = (0.0, 0.0);
        // A little more than the curvature, so that it can be divided by.
        let (mut dd_slope, mut dd_both, mut dd_offset) = (1e-9, 0.0, 1e-9);
        for &Scored { logit, truth, weight, .. } in scored {
            let probability = logistic(slope * logit + offset);
            let error = weight * (probability - target(truth));
            let curvature = weight * probability * (1.0 - probability);
            d_slope += error * logit;
            d_offset += error;
            dd_slope += curvature * logit * logit;
            dd_both += curvature * logit;
            dd_offset += curvature;
        }
        let determinant = dd_slope * dd_offset - dd_both * dd_both;
        let slope_step = (dd_offset * d_slope - dd_both * d_offset) / determinant;
        let offset_step = (dd_slope * d_offset - dd_both * d_slope) / determinant;
        let before = loss(slope, offset);
        let mut share = 1.0;
        while share > 1e-9
            && loss(slope - share * slope_step, offset - share * offset_step) > before
        {
            share /= 2.0;
        }
        slope -= share * slope_step;
        offset -= share * offset_step;
        if share * (slope_step.abs() + offset_step.abs()) < 1e-9 {
            break;
        }
    }
    (slope, offset)
}

/// The threshold with the best expected F1 if the probabilities are right. It needs no truths and
/// so is far steadier than the threshold with the best F1 on a few hundred positives.
pub fn expected_f1_threshold(scored: &[Scored], calibration: Calibration) -> f64 {
    let weighed: Vec<(f64, f64)> =
        scored.iter().map(|scored| (calibration.probability(scored), scored.weight)).collect();
    let expected_positives: f64 =
        weighed.iter().map(|(probability, weight)| weight * probability).sum();
    let expected_f1 = |threshold: f64| {
        let assigned = weighed.iter().filter(|(probability, _)| *probability >= threshold);
        let (hits, count) = assigned.fold((0.0, 0.0), |(hits, count), (probability, weight)| {
            (hits + weight * probability, count + weight)
        });
        2.0 * hits / (count + expected_positives)
    };
    let percents = (20..=80).map(|percent| f64::from(percent) / 100.0);
    // Between two probabilities all thresholds do the same: the one nearest to a half is taken.
    let best = percents.max_by(|&a, &b| {
        let by_distance = (b - 0.5).abs().total_cmp(&(a - 0.5).abs());
        expected_f1(a).total_cmp(&expected_f1(b)).then(by_distance)
    });
    best.unwrap_or(0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(logit: f64, truth: bool) -> Scored {
        Scored { logit, brevity: 0.0, truth, weight: 1.0 }
    }

    #[test]
    fn the_true_parameters_are_found() {
        // At every logit and length as many positives as these parameters ask for.
        let truth = Calibration { slope: 0.5, offset: -1.0, brevity_weight: 0.8 };
        let articles_of = |brevity: f64| -> Vec<Scored> {
            let articles_at = |step: i32| {
                let at = Scored { brevity, ..full(f64::from(step) / 5.0, false) };
                let positives = (1000.0 * truth.probability(&at)).round() as usize;
                (0..1000).map(move |index| Scored { truth: index < positives, ..at })
            };
            (-40..=40).flat_map(articles_at).collect()
        };
        let briefs = [articles_of(0.5), articles_of(2.0)].concat();
        let found = Calibration::fit(&articles_of(0.0), &briefs);
        assert!((found.slope - truth.slope).abs() < 0.01, "{found:?}");
        assert!((found.offset - truth.offset).abs() < 0.01, "{found:?}");
        assert!((found.brevity_weight - truth.brevity_weight).abs() < 0.01, "{found:?}");
    }

    #[test]
    fn platt_stays_finite_on_little_and_on_separable_data() {
        for data in [
            vec![],
            vec![full(0.0, true)],
            vec![full(3.0, false), full(3.0, false)],
            vec![full(-5.0, false), full(5.0, true)],
            (0..1000).map(|index| full(f64::from(index) - 500.0, index >= 500)).collect(),
        ] {
            let (slope, offset) = platt(&data);
            assert!(slope.is_finite() && offset.is_finite(), "{data:?}");
        }
    }

    #[test]
    fn little_is_made_of_few_briefs_and_nothing_of_none() {
        let brief = |logit, truth| Scored { brevity: 2.0, ..full(logit, truth) };
        let brevity_weight = |briefs: &[Scored]| {
            let calibration = Calibration { slope: 1.0, offset: 0.0, brevity_weight: 0.0 };
            calibration.fit_brevity(briefs)
        };
        assert_eq!(brevity_weight(&[]), 0.0);
        assert_eq!(brevity_weight(&[full(-3.0, true), full(3.0, false)]), 0.0);
        assert!((0.3..0.8).contains(&brevity_weight(&[brief(0.0, true)])));
        let all_positive: Vec<Scored> = vec![brief(-500.0, true); 1000];
        assert!(brevity_weight(&all_positive).is_finite());
    }

    #[test]
    fn the_threshold_is_half_the_best_f1() {
        let check = |probabilities: &[f64], expected: std::ops::RangeInclusive<f64>| {
            let scored: Vec<Scored> =
                probabilities.iter().map(|p| full(libm::log(p / (1.0 - p)), true)).collect();
            let identity = Calibration { slope: 1.0, offset: 0.0, brevity_weight: 0.0 };
            let threshold = expected_f1_threshold(&scored, identity);
            assert!(expected.contains(&threshold), "{threshold} for {probabilities:?}");
        };
        check(&[0.99, 0.98, 0.97, 0.01, 0.02], 0.5..=0.5);
        let uniform: Vec<f64> = (1..1000).map(|step| f64::from(step) / 1000.0).collect();
        check(&uniform, 0.36..=0.42);
        check(&[], 0.5..=0.5);
    }
}
