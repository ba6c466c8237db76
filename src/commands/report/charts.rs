//! Charts of a report, as SVG inside the page. Colours are those of the style sheet.

use super::page::{base64, escaped};
use crate::report::scatter;
use std::fmt::Write;

/// Width and height of a chart, and what its labels take on the left and below.
const SIZE: [f64; 2] = [360.0, 200.0];
const MARGIN: [f64; 2] = [52.0, 22.0];

/// A range of numbers, and where they lie along an axis.
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    /// An axis for numbers, from one place to another. One that has a single number has it in the middle.
    fn new(numbers: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (mut low, mut high) =
            numbers.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
        if !(low.is_finite() && high.is_finite()) {
            (low, high) = (0.0, 1.0);
        }
        if low == high {
            (low, high) = (low - 0.5, high + 0.5);
        }
        Self { low, high, from, to }
    }

    fn at(&self, x: f64) -> f64 {
        self.from + (x - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// Round numbers within the range, about four of them.
    fn ticks(&self) -> Vec<f64> {
        let rough = (self.high - self.low) / 4.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|times| times * power).find(|step| *step >= rough);
        let step = step.unwrap_or(rough);
        let first = (self.low / step).ceil();
        (0..12).map(|n| (first + f64::from(n)) * step).take_while(|tick| *tick <= self.high).collect()
    }
}

/// A number of an axis.
fn short(x: f64) -> String {
    let x = if x.abs() < 1e-12 { 0.0 } else { x };
    match x.abs() {
        size if size >= 1e6 || (size > 0.0 && size < 1e-3) => format!("{x:.1e}"),
        _ => {
            let text = format!("{x:.3}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
    }
}

/// Axes with their numbers; where `x` has words, these stand in the place of its numbers.
fn axes(svg: &mut String, x: &Axis, y: &Axis, along: bool) {
    let [width, height] = SIZE;
    let [left, below] = MARGIN;
    let bottom = height - below;
    for tick in y.ticks() {
        let at = y.at(tick);
        let _ = write!(svg, "<line class=\"axis\" x1=\"{left}\" x2=\"{width}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>");
        let _ =
            write!(svg, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>", left - 5.0, at + 4.0, short(tick));
    }
    for tick in x.ticks().into_iter().filter(|_| along) {
        let at = x.at(tick);
        let _ = write!(svg, "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>", height - 6.0, short(tick));
    }
    let _ = write!(svg, "<line class=\"axis\" x1=\"{left}\" x2=\"{width}\" y1=\"{bottom}\" y2=\"{bottom}\"/>");
}

fn figure(caption: &str, inside: &str) -> String {
    let [width, height] = SIZE;
    format!(
        "<figure><figcaption>{caption}</figcaption><svg viewBox=\"0 0 {width} {height}\" role=\"img\">{inside}</svg></figure>\n"
    )
}

/// A line for each of up to two series of points.
pub fn lines(series: &[(String, Vec<[f64; 2]>)]) -> String {
    let points = || series.iter().flat_map(|(_, points)| points);
    let [width, height] = SIZE;
    let x = Axis::new(points().map(|point| point[0]), MARGIN[0], width - 8.0);
    let y = Axis::new(points().map(|point| point[1]), height - MARGIN[1], 8.0);
    let (mut svg, mut caption) = (String::new(), Vec::new());
    axes(&mut svg, &x, &y, true);
    for ((name, points), class) in series.iter().zip(["a", "b"]) {
        let places = points.iter().fold(String::new(), |mut text, [at, value]| {
            let _ = write!(text, "{:.1},{:.1} ", x.at(*at), y.at(*value));
            text
        });
        let _ = write!(svg, "<polyline class=\"{class}\" points=\"{}\"/>", places.trim_end());
        if let [[at, value]] = points[..] {
            let (cx, cy) = (x.at(at), y.at(value));
            let _ =
                write!(svg, "<circle class=\"{class}\" fill=\"currentColor\" cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"3\"/>");
        }
        caption.push(format!("<span class=\"{class}\">{}</span>", escaped(name)));
    }
    figure(&caption.join(" "), &svg)
}

/// A bar for each number, from 0 up.
pub fn bars(caption: &str, heights: &[f64]) -> String {
    let [width, height] = SIZE;
    let x = Axis { low: 0.0, high: heights.len() as f64, from: MARGIN[0], to: width - 8.0 };
    let y = Axis::new(heights.iter().copied().chain([0.0]), height - MARGIN[1], 8.0);
    let mut svg = String::new();
    axes(&mut svg, &x, &y, false);
    draw_bars(&mut svg, heights, &x, &y, |at| format!("{at}: {}", short(heights[at])));
    figure(&escaped(caption), &svg)
}

fn draw_bars(svg: &mut String, heights: &[f64], x: &Axis, y: &Axis, title: impl Fn(usize) -> String) {
    let each = (x.to - x.from) / heights.len().max(1) as f64;
    for (at, &value) in heights.iter().enumerate() {
        let (left, top, wide) = (x.from + each * at as f64, y.at(value), (each * 0.9).max(0.5));
        let tall = y.at(0.0) - top;
        let _ = write!(svg, "<rect x=\"{left:.2}\" y=\"{top:.1}\" width=\"{wide:.2}\" height=\"{tall:.1}\">");
        let _ = write!(svg, "<title>{}</title></rect>", escaped(&title(at)));
    }
}

/// How many numbers lie where; beyond the line of the threshold, where there is one.
pub fn histogram(caption: &str, numbers: &[f64], threshold: Option<f64>) -> String {
    const BINS: usize = 40;
    let [width, height] = SIZE;
    let finite: Vec<f64> = numbers.iter().copied().filter(|x| x.is_finite()).collect();
    let x = Axis::new(finite.iter().copied().chain(threshold), MARGIN[0], width - 8.0);
    let mut counts = vec![0.0; BINS];
    for number in &finite {
        let bin = (number - x.low) / (x.high - x.low) * BINS as f64;
        counts[(bin as usize).min(BINS - 1)] += 1.0;
    }
    let y = Axis::new(counts.iter().copied().chain([0.0]), height - MARGIN[1], 8.0);
    let mut svg = String::new();
    axes(&mut svg, &x, &y, true);
    draw_bars(&mut svg, &counts, &x, &y, |bin| short(counts[bin]));
    if let Some(threshold) = threshold {
        let (at, bottom) = (x.at(threshold), height - MARGIN[1]);
        let _ = write!(svg, "<line class=\"threshold\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"4\" y2=\"{bottom}\"/>");
    }
    figure(&escaped(caption), &svg)
}

/// Two sets of numbers beside each other, as shares: where they are whole numbers below `levels`, how many of each there are, else
/// how many lie where.
pub fn both(caption: &str, sets: [(&str, &[f64]); 2], levels: Option<&[String]>) -> String {
    const BINS: usize = 24;
    let [width, height] = SIZE;
    let bins = levels.map_or(BINS, <[String]>::len).max(1);
    let all = || sets.iter().flat_map(|(_, numbers)| numbers.iter().copied().filter(|x| x.is_finite()));
    let x = match levels {
        Some(_) => Axis { low: 0.0, high: bins as f64, from: MARGIN[0], to: width - 8.0 },
        None => Axis::new(all(), MARGIN[0], width - 8.0),
    };
    let shares = sets.map(|(_, numbers)| {
        let mut shares = vec![0.0; bins];
        let finite: Vec<f64> = numbers.iter().copied().filter(|x| x.is_finite()).collect();
        for number in &finite {
            let bin = (number - x.low) / (x.high - x.low) * bins as f64;
            shares[(bin as usize).min(bins - 1)] += 1.0 / finite.len() as f64;
        }
        shares
    });
    let y = Axis::new(shares.iter().flatten().copied().chain([0.0]), height - MARGIN[1], 8.0);
    let mut svg = String::new();
    axes(&mut svg, &x, &y, levels.is_none());
    let each = (x.to - x.from) / bins as f64;
    for (side, shares) in shares.iter().enumerate() {
        let class = ["", " class=\"other\""][side];
        for (at, &share) in shares.iter().enumerate().filter(|(_, share)| **share > 0.0) {
            let (left, top) = (x.from + each * (at as f64 + 0.05 + 0.45 * side as f64), y.at(share));
            let (wide, tall) = (each * 0.45, y.at(0.0) - top);
            let name =
                levels.map_or_else(|| short(x.low + (x.high - x.low) * at as f64 / bins as f64), |it| it[at].clone());
            let title = escaped(&format!("{name}: {:.1} %", 100.0 * share));
            let _ = write!(
                svg,
                "<rect{class} x=\"{left:.2}\" y=\"{top:.1}\" width=\"{wide:.2}\" height=\"{tall:.1}\"><title>{title}</title></rect>"
            );
        }
    }
    let [first, second] = sets.map(|(name, _)| escaped(name));
    let names = format!("<span class=\"a\">{first}</span> <span class=\"b\">{second}</span>");
    figure(&format!("{} {names}", escaped(caption)), &svg)
}

/// Pictures in one PNG file, side by side: what some of the points of a map look like.
pub struct Sheet {
    /// The file.
    pub png: Vec<u8>,
    /// Height and width of each picture.
    pub size: [usize; 2],
    /// Pictures in a row.
    pub columns: usize,
    /// Pictures: of the points 0, k, 2k, … for the k of [`Sheet::every`].
    pub count: usize,
    /// Of so many points one has a picture.
    pub every: usize,
}

impl Sheet {
    /// The whole sheet, which is shown through the window of [`Sheet::window`] alone.
    fn defined(&self) -> String {
        let [height, width] = self.size;
        let [wide, tall] = [width * self.columns, height * self.count.div_ceil(self.columns)];
        let file = base64(&self.png);
        format!(
            "<defs><image id=\"sheet\" width=\"{wide}\" height=\"{tall}\" href=\"data:image/png;base64,{file}\"/></defs>"
        )
    }

    /// A window of the side `side` with its corner at `x`, in which the picture of a point is to be seen.
    fn window(&self, point: usize, x: f64, side: f64) -> Option<String> {
        let ([height, width], at) = (self.size, point / self.every);
        if !point.is_multiple_of(self.every) || at >= self.count {
            return None;
        }
        let (left, top) = (at % self.columns * width, at / self.columns * height);
        Some(format!(
            "<svg class=\"picture\" x=\"{x}\" y=\"0\" width=\"{side}\" height=\"{side}\" viewBox=\"{left} {top} {width} {height}\" \
             preserveAspectRatio=\"xMidYMin\"><use href=\"#sheet\"/></svg>"
        ))
    }
}

/// Points of a plane, each with its number in `ranks`, by which it is coloured, and what is said of it under the pointer; beside
/// the plane the picture of the one under the pointer, where there are pictures.
pub fn map(points: &[[f32; 2]], ranks: &[usize], titles: &[String], sheet: Option<&Sheet>) -> String {
    const SIDE: f64 = 560.0;
    const PICTURE: f64 = 140.0;
    let along = |axis: usize| points.iter().map(move |point| f64::from(point[axis]));
    let [x, y] = [Axis::new(along(0), 8.0, SIDE - 8.0), Axis::new(along(1), SIDE - 8.0, 8.0)];
    // Both axes have the same scale, so that distances mean what they seem to.
    let scale = ((x.to - x.from) / (x.high - x.low)).min((y.from - y.to) / (y.high - y.low));
    let place = |axis: &Axis, value: f32, up: f64| {
        SIDE / 2.0 + up * (f64::from(value) - f64::midpoint(axis.low, axis.high)) * scale
    };
    let mut svg = sheet.map_or_else(String::new, Sheet::defined);
    for (at, ((point, &rank), title)) in points.iter().zip(ranks).zip(titles).enumerate() {
        let (cx, cy) = (place(&x, point[0], 1.0), place(&y, point[1], -1.0));
        let colour = scatter::hex(scatter::colour(rank));
        let circle = format!(
            "<circle cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"3\" fill=\"{colour}\" fill-opacity=\"0.75\"><title>{}</title></circle>",
            escaped(title)
        );
        let _ = match sheet.and_then(|sheet| sheet.window(at, SIDE, PICTURE)) {
            Some(window) => write!(svg, "<g>{circle}{window}</g>"),
            None => write!(svg, "{circle}"),
        };
    }
    let width = if sheet.is_some() { SIDE + PICTURE } else { SIDE };
    format!("<figure><svg viewBox=\"0 0 {width} {SIDE}\" role=\"img\">{svg}</svg></figure>\n")
}

/// The names of colours.
pub fn legend(names: &[String]) -> String {
    let entries = names.iter().enumerate().fold(String::new(), |mut text, (rank, name)| {
        let colour = scatter::hex(scatter::colour(rank));
        let _ = write!(text, "<span><i style=\"background:{colour}\"></i>{}</span>", escaped(name));
        text
    });
    format!("<p class=\"legend\">{entries}</p>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within_the_range() {
        for (low, high, expected) in [
            (0.0, 10.0, vec![0.0, 5.0, 10.0]),
            (98.3, 103.1, vec![100.0, 102.0]),
            (-1.0, 1.0, vec![-1.0, -0.5, 0.0, 0.5, 1.0]),
            (0.001, 0.0019, vec![0.001, 0.0015]),
        ] {
            let found = Axis { low, high, from: 0.0, to: 1.0 }.ticks();
            assert_eq!(found.len(), expected.len(), "{low} {high}: {found:?}");
            assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-9), "{low} {high}: {found:?}");
        }
    }

    #[test]
    fn charts_take_whatever_numbers_there_are() {
        let nothing = lines(&[("a".into(), vec![])]);
        assert!(nothing.contains("<svg") && !nothing.contains("NaN"), "{nothing}");
        let one = lines(&[("<a>".into(), vec![[1.0, 5.0]])]);
        assert!(one.contains("&lt;a&gt;") && one.contains("<circle") && !one.contains("NaN"), "{one}");
        let same = histogram("scores", &[2.0, 2.0, f64::INFINITY], Some(2.0));
        assert!(same.contains("class=\"threshold\"") && !same.contains("NaN") && !same.contains("inf"), "{same}");
        let (points, titles) = ([[0.0, 1.0], [0.0, 1.0]], ["a".into(), "b".into()]);
        let plain = map(&points, &[0, 1], &titles, None);
        assert!(plain.matches("<circle").count() == 2 && !plain.contains("NaN"), "{plain}");
        let sheet = Sheet { png: vec![1], size: [4, 6], columns: 3, count: 1, every: 2 };
        let pictured = map(&points, &[0, 1], &titles, Some(&sheet));
        assert_eq!(pictured.matches("viewBox=\"0 0 6 4\"").count(), 1, "{pictured}");
        let later = Sheet { count: 9, ..sheet }.window(8, 0.0, 1.0).unwrap();
        assert!(later.contains("viewBox=\"6 4 6 4\""), "the fifth picture: the second of the second row: {later}");
        assert_eq!(bars("rates", &[3.0, 1.0, 0.0]).matches("<rect").count(), 3);
    }

    #[test]
    fn numbers_of_axes_are_short() {
        assert_eq!([0.0, 0.5, 1200.0, 2.5e7, 1e-5].map(short), ["0", "0.5", "1200", "2.5e7", "1.0e-5"]);
    }
}
