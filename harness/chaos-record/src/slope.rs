//! How fast something grows: the slope of a line through noisy points, whatever a few of them do.
//!
//! Method: the median of the slopes between all pairs of points (Theil 1950, Sen 1968), which up to
//! 29 % of wild points cannot move far; its limits of confidence after Sen (1968), section 4.
//! Invariant: work and memory are bounded, however many points there are.

/// Most points that are compared pair by pair; more are thinned out to medians of neighbours.
const POINTS_MAX: usize = 600;
/// One-sided 95 % point of the normal distribution.
const Z: f64 = 1.645;

/// A slope in units of `y` per unit of `x`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Slope {
    pub(crate) median: f64,
    /// With 95 % confidence it is at least this.
    pub(crate) at_least: f64,
}

/// The slope through `(x, y)` in ascending order of `x`; `None` if fewer than two differ in `x`.
pub(crate) fn of(points: &[(f64, f64)]) -> Option<Slope> {
    let points = thinned(points);
    let mut slopes = Vec::with_capacity(points.len() * points.len().saturating_sub(1) / 2);
    for (i, (x, y)) in points.iter().enumerate() {
        for (later_x, later_y) in &points[i + 1..] {
            if later_x > x {
                slopes.push((later_y - y) / (later_x - x));
            }
        }
    }
    slopes.sort_unstable_by(f64::total_cmp);
    let n = points.len() as f64;
    let spread = Z * (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
    let lowest = (slopes.len() as f64 - spread) / 2.0;
    Some(Slope {
        median: median(&slopes)?,
        at_least: at(&slopes, lowest)?,
    })
}

/// The middle of sorted values.
fn median(sorted: &[f64]) -> Option<f64> {
    let upper = sorted.get(sorted.len() / 2)?;
    let lower = sorted.get((sorted.len() - 1) / 2)?;
    Some(f64::midpoint(*lower, *upper))
}

/// The value with this number, counted from 1; with too few values, less than any slope.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is checked to be at least 1"
)]
fn at(sorted: &[f64], number: f64) -> Option<f64> {
    if number < 1.0 {
        return (!sorted.is_empty()).then_some(f64::NEG_INFINITY);
    }
    sorted.get(number.floor() as usize - 1).copied()
}

fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let group = points.len().div_ceil(POINTS_MAX).max(1);
    let middle = |group: &[(f64, f64)], of: fn(&(f64, f64)) -> f64| {
        let mut values: Vec<f64> = group.iter().map(of).collect();
        values.sort_unstable_by(f64::total_cmp);
        median(&values)
    };
    points
        .chunks(group)
        .filter_map(|group| {
            Some((
                middle(group, |point| point.0)?,
                middle(group, |point| point.1)?,
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(n: u32, slope: f64, wobble: impl Fn(u32) -> f64) -> Vec<(f64, f64)> {
        (0..n)
            .map(|i| (f64::from(i), 5.0 + slope * f64::from(i) + wobble(i)))
            .collect()
    }

    #[test]
    fn a_line_has_its_slope_and_wild_points_do_not_move_it() {
        let check = |points: &[(f64, f64)], expected: f64| {
            let slope = of(points).expect("points");
            assert!((slope.median - expected).abs() < 0.02, "{slope:?}");
            assert!(slope.at_least <= slope.median, "{slope:?}");
        };
        check(&line(30, 2.0, |_| 0.0), 2.0);
        check(&line(30, -0.5, |_| 0.0), -0.5);
        // One in six is off by a thousand.
        check(
            &line(60, 2.0, |i| if i % 6 == 0 { 1_000.0 } else { 0.0 }),
            2.0,
        );
        check(
            &line(5_000, 0.25, |i| if i % 2 == 0 { 0.3 } else { -0.3 }),
            0.25,
        );
    }

    /// Sen (1968), section 6: weights of a compound against time; slope 4, and from 3.71 on at one-sided 97.5 %.
    #[test]
    fn it_agrees_with_sens_example() {
        let points = [
            (1.0, 9.0),
            (2.0, 15.0),
            (3.0, 19.0),
            (4.0, 20.0),
            (10.0, 45.0),
            (12.0, 55.0),
            (18.0, 78.0),
        ];
        let slope = of(&points).expect("seven points");
        assert!((slope.median - 4.0).abs() < 0.01, "{slope:?}");
        assert!((3.7..4.0).contains(&slope.at_least), "{slope:?}");
    }

    #[test]
    fn noise_around_nothing_is_no_growth() {
        let noise = |i: u32| f64::from(i.wrapping_mul(2_654_435_761) >> 16) / 65_536.0;
        let slope = of(&line(120, 0.0, noise)).expect("points");
        assert!(slope.at_least < 0.0, "{slope:?}");
    }

    #[test]
    fn too_few_points_have_no_slope() {
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[(1.0, 1.0)]), None);
        assert_eq!(of(&[(1.0, 1.0), (1.0, 3.0)]), None);
        let two = of(&[(0.0, 0.0), (1.0, 3.0)]).expect("two points");
        assert_eq!((two.median, two.at_least), (3.0, f64::NEG_INFINITY));
    }
}
