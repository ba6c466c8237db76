//! Training as it goes: a bar within an epoch where somebody watches, one line after each epoch.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::human;

/// What is known when an epoch ends. Losses are means over the epoch, in nats per example.
#[derive(Debug, Clone, PartialEq)]
pub struct EpochRow {
    /// Which epoch this was, from 1.
    pub epoch: usize,
    /// Of how many.
    pub epochs: usize,
    /// −log p(x|z) under the posterior.
    pub distortion: f64,
    /// KL from the prior to the posterior.
    pub rate: f64,
    /// −ELBO: distortion + rate, whatever the weight of the rate in the loss.
    pub neg_elbo: f64,
    /// What epochs are compared by where it is not −ELBO of the training part: its title, and what it came to.
    pub score: Option<(&'static str, f64)>,
    /// Examples trained on per second.
    pub images_per_second: f64,
    /// Since training began.
    pub elapsed: Duration,
    /// Until the last epoch will be done.
    pub eta: Duration,
    /// Where gradients are clipped: the mean of their norms before that, and the share of updates whose gradient was too long.
    pub clipped: Option<[f64; 2]>,
}

/// What is known of several models that train side by side when an epoch ends, in nats per example.
#[derive(Debug, Clone, PartialEq)]
pub struct MembersRow {
    /// Which epoch this was, from 1.
    pub epoch: usize,
    /// Of how many.
    pub epochs: usize,
    /// How many members there are.
    pub members: usize,
    /// Which of them was the best of the epoch.
    pub member: usize,
    /// What it came to.
    pub best: f64,
    /// The mean of all members.
    pub mean: f64,
    /// The worst member's.
    pub worst: f64,
    /// What these are, such as `validation -ELBO`.
    pub score: String,
    /// Examples trained on per second, by all members together.
    pub images_per_second: f64,
    /// Since training began.
    pub elapsed: Duration,
    /// Until the last epoch will be done.
    pub eta: Duration,
}

/// The columns and their widths, which make 78 characters up to those of clipped gradients.
const COLUMNS: [(&str, usize); 10] = [
    ("epoch", 7),
    ("distortion", 11),
    ("rate", 9),
    ("-ELBO", 11),
    (SCORE, 11),
    ("images/s", 11),
    ("elapsed", 9),
    ("left", 9),
    (NORM, 12),
    (CLIPPED, 9),
];

/// The columns that are left out where gradients are not clipped.
const NORM: &str = "grad. norm";
const CLIPPED: &str = "clipped";

/// The column that is left out where epochs are compared by what another one shows.
const SCORE: &str = "score";

/// The two lines above the epochs: the unit, and the names of the columns.
pub fn header(score: Option<&str>, clipped: bool) -> String {
    let titles = COLUMNS.map(|(title, _)| if title == SCORE { score.unwrap_or_default() } else { title }.to_owned());
    format!("losses in nats per example\n{}", aligned(&titles, score.is_some(), clipped))
}

/// The line of one epoch, aligned with [`header`].
pub fn line(row: &EpochRow, score: bool) -> String {
    let nats = |x: f64| format!("{x:.2}");
    let cells = [
        format!("{}/{}", row.epoch, row.epochs),
        nats(row.distortion),
        nats(row.rate),
        nats(row.neg_elbo),
        row.score.map_or("-".into(), |(_, score)| nats(score)),
        human::count(row.images_per_second.round() as u64),
        human::duration(row.elapsed),
        human::duration(row.eta),
        row.clipped.map_or(String::new(), |[norm, _]| nats(norm)),
        row.clipped.map_or(String::new(), |[_, share]| format!("{:.0} %", 100.0 * share)),
    ];
    aligned(&cells, score, row.clipped.is_some())
}

/// The columns of several models, likewise.
const MEMBERS_COLUMNS: [(&str, usize); 8] = [
    ("epoch", 7),
    ("member", 8),
    ("best", 11),
    ("mean", 11),
    ("worst", 11),
    ("images/s", 12),
    ("elapsed", 9),
    ("left", 9),
];

/// The two lines above the epochs of several models.
pub fn members_header(row: &MembersRow) -> String {
    let titles = MEMBERS_COLUMNS.map(|(title, width)| format!("{title:>width$}"));
    format!("{} in nats per example: the best of {} members, and all\n{}", row.score, row.members, titles.concat())
}

/// The line of one epoch of several models, aligned with [`members_header`].
pub fn members_line(row: &MembersRow) -> String {
    let nats = |x: f64| format!("{x:.2}");
    let cells = [
        format!("{}/{}", row.epoch, row.epochs),
        row.member.to_string(),
        nats(row.best),
        nats(row.mean),
        nats(row.worst),
        human::count(row.images_per_second.round() as u64),
        human::duration(row.elapsed),
        human::duration(row.eta),
    ];
    let aligned = MEMBERS_COLUMNS.iter().zip(cells).map(|((_, width), cell)| format!("{cell:>width$}"));
    aligned.collect::<Vec<String>>().concat()
}

fn aligned(cells: &[String; 10], score: bool, clipped: bool) -> String {
    let is_shown = |title: &str| match title {
        SCORE => score,
        NORM | CLIPPED => clipped,
        _ => true,
    };
    let shown = COLUMNS.iter().zip(cells).filter(|((title, _), _)| is_shown(title));
    shown.map(|((_, width), cell)| format!("{cell:>width$}")).collect::<Vec<String>>().concat()
}

/// A bar on stderr over the steps of one epoch, or of something else with a title.
pub(super) fn bar(title: &str, steps: usize) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(steps as u64), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{prefix:>7} {wide_bar} {pos}/{len}  {msg}{eta} left");
    // The template is a constant, so only a slip in it could fail; the default style would then do.
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style.progress_chars("=> "));
    bar.set_prefix(title.to_owned());
    bar
}

/// The part of the bar's line that changes.
pub(super) fn message(neg_elbo: Option<f64>, images_per_second: f64) -> String {
    let loss = neg_elbo.map(|nats| format!("-ELBO {nats:.2}  ")).unwrap_or_default();
    format!("{loss}{} images/s  ", human::count(images_per_second.round() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(score: Option<(&'static str, f64)>) -> EpochRow {
        EpochRow {
            epoch: 3,
            epochs: 10,
            distortion: 80.128,
            rate: 25.5,
            neg_elbo: 105.628,
            score,
            images_per_second: 21_300.4,
            elapsed: Duration::from_millis(4_200),
            eta: Duration::from_secs(75),
            clipped: None,
        }
    }

    #[test]
    fn lines_stand_below_their_titles() {
        let expected = "\
losses in nats per example
  epoch distortion     rate      -ELBO   images/s  elapsed     left
   3/10      80.13    25.50     105.63     21,300    4.2 s     1:15";
        let text = format!("{}\n{}", header(None, false), line(&row(None), false));
        assert_eq!(text, expected);
        let row = EpochRow { clipped: Some([132.456, 0.125]), ..row(None) };
        let clipped = format!("{}\n{}", header(None, true), line(&row, false));
        let expected = expected.replace("left", "left  grad. norm  clipped") + "      132.46     12 %";
        assert_eq!(clipped, expected);
    }

    #[test]
    fn the_lines_of_several_models_fit_the_same_screen() {
        let row = MembersRow {
            epoch: 3,
            epochs: 10,
            members: 8,
            member: 5,
            best: 104.2,
            mean: 105.128,
            worst: 110.0,
            score: "training -ELBO".into(),
            images_per_second: 21_300.4,
            elapsed: Duration::from_millis(4_200),
            eta: Duration::from_secs(75),
        };
        let expected = "\
training -ELBO in nats per example: the best of 8 members, and all
  epoch  member       best       mean      worst    images/s  elapsed     left
   3/10       5     104.20     105.13     110.00      21,300    4.2 s     1:15";
        assert_eq!(format!("{}\n{}", members_header(&row), members_line(&row)), expected);
    }

    #[test]
    fn the_column_of_the_score_fits_the_same_screen_and_may_have_gaps() {
        let head = header(Some("val. bound"), false);
        assert!(
            head.lines().all(|line| line.chars().count() <= 80) && head.contains("val. bound") && !head.contains(SCORE)
        );
        for (validation, cell) in [(Some(106.254), "106.25"), (None, "-")] {
            let text = line(&row(validation.map(|nats| ("val. bound", nats))), true);
            let width = head.lines().last().unwrap().len();
            assert_eq!((text.len(), text.split_whitespace().nth(4)), (width, Some(cell)), "{text}");
        }
    }

    #[test]
    fn numbers_that_are_not_finite_are_shown_as_such() {
        let bad = EpochRow { rate: f64::NAN, distortion: f64::INFINITY, images_per_second: f64::NAN, ..row(None) };
        let text = line(&bad, false);
        assert!(text.contains("NaN") && text.contains("inf"), "{text}");
    }

    #[test]
    fn the_bar_shows_the_loss_once_it_is_known() {
        assert_eq!(message(None, 999.6), "1,000 images/s  ");
        assert_eq!(message(Some(110.126), 21_300.0), "-ELBO 110.13  21,300 images/s  ");
    }
}
