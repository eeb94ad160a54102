//! From logits to probabilities that mean what they say, and from those to a threshold.

use super::logistic;

/// A held-out article, scored and settled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    pub logit: f64,
    pub truth: bool,
    pub weight: f64,
}

/// `P(positive) = logistic(slope · logit + offset)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calibration {
    pub slope: f64,
    pub offset: f64,
}

impl Calibration {
    pub fn probability(&self, logit: f64) -> f64 {
        logistic(self.slope * logit + self.offset)
    }
}

/// Platt's calibration (1999), by Newton's method with step halving as Lin, Lin and Weng (2007)
/// advise. Platt's targets, not quite 0 and 1, keep it finite where a threshold separates all.
pub fn platt(scored: &[Scored]) -> Calibration {
    let positives = scored.iter().filter(|scored| scored.truth).count() as f64;
    let negatives = scored.len() as f64 - positives;
    let target = |truth: bool| match truth {
        true => (positives + 1.0) / (positives + 2.0),
        false => 1.0 / (negatives + 2.0),
    };
    let loss = |slope: f64, offset: f64| -> f64 {
        let losses = scored.iter().map(|&Scored { logit, truth, weight }| {
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
        for &Scored { logit, truth, weight } in scored {
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
    Calibration { slope, offset }
}

/// The threshold with the best expected F1 if the probabilities are right. It needs no truths and
/// so is far steadier than the threshold with the best F1 on a few hundred positives.
pub fn expected_f1_threshold(scored: &[Scored], calibration: Calibration) -> f64 {
    let weighed: Vec<(f64, f64)> = scored
        .iter()
        .map(|scored| (calibration.probability(scored.logit), scored.weight))
        .collect();
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

    #[test]
    fn platt_finds_the_true_slope_and_offset() {
        // At every logit as many positives as logistic(0.5 · logit - 1) asks for.
        let mut scored = Vec::new();
        for step in -40..=40 {
            let logit = f64::from(step) / 5.0;
            let positives = (1000.0 * logistic(0.5 * logit - 1.0)).round() as usize;
            for index in 0..1000 {
                scored.push(Scored { logit, truth: index < positives, weight: 1.0 });
            }
        }
        let Calibration { slope, offset } = platt(&scored);
        assert!((slope - 0.5).abs() < 0.01 && (offset + 1.0).abs() < 0.01, "{slope} {offset}");
    }

    #[test]
    fn platt_stays_finite_on_little_and_on_separable_data() {
        let scored = |logit, truth| Scored { logit, truth, weight: 1.0 };
        for data in [
            vec![],
            vec![scored(0.0, true)],
            vec![scored(3.0, false), scored(3.0, false)],
            vec![scored(-5.0, false), scored(5.0, true)],
            (0..1000).map(|index| scored(f64::from(index) - 500.0, index >= 500)).collect(),
        ] {
            let Calibration { slope, offset } = platt(&data);
            assert!(slope.is_finite() && offset.is_finite(), "{data:?}");
        }
    }

    #[test]
    fn the_threshold_is_half_the_best_f1() {
        let check = |probabilities: &[f64], expected: std::ops::RangeInclusive<f64>| {
            let scored: Vec<Scored> = probabilities
                .iter()
                .map(|p| Scored { logit: libm::log(p / (1.0 - p)), truth: true, weight: 1.0 })
                .collect();
            let threshold = expected_f1_threshold(&scored, Calibration { slope: 1.0, offset: 0.0 });
            assert!(expected.contains(&threshold), "{threshold} for {probabilities:?}");
        };
        check(&[0.99, 0.98, 0.97, 0.01, 0.02], 0.5..=0.5);
        let uniform: Vec<f64> = (1..1000).map(|step| f64::from(step) / 1000.0).collect();
        check(&uniform, 0.36..=0.42);
        check(&[], 0.5..=0.5);
    }
}
