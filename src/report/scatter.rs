//! Maps: points in a plane, coloured by label, with a legend.

use crate::data::NO_LABEL;
use std::path::Path;

use super::grid;
use crate::error::Result;

/// The side of the square that the points are drawn in, in pixels.
const SIDE: usize = 800;
/// Pixels around the square.
const MARGIN: usize = 40;
/// Pixels to the right of it for the legend, where there is one.
const LEGEND: usize = 232;
/// Half the width of a point.
const RADIUS: f32 = 3.0;
/// How much of what lies below a point shows through it.
const OPACITY: f32 = 0.65;
/// Letters of the font are this many pixels high and wide, and drawn at twice the size.
const LETTER: usize = 8;
/// Labels that the legend lists.
pub const LISTED: usize = 24;

const PAPER: [u8; 3] = [255; 3];
const INK: [u8; 3] = [48; 3];
/// Points without a label.
const PLAIN: [u8; 3] = [31, 90, 160];

/// Colours of the first labels, which can be told apart also by most people who see few colours.
const PALETTE: [[u8; 3]; 10] = [
    [0, 114, 178],
    [230, 126, 0],
    [0, 148, 100],
    [204, 51, 63],
    [126, 87, 194],
    [140, 100, 60],
    [240, 98, 170],
    [110, 110, 110],
    [170, 170, 20],
    [40, 180, 210],
];

/// A map to draw.
#[derive(Debug, Clone, Copy)]
pub struct Map<'a> {
    /// Coordinates; those that are not finite are left out.
    pub points: &'a [[f32; 2]],
    /// One label for each point where there are labels.
    pub labels: Option<&'a [u32]>,
    /// What labels are called, where they are no numbers.
    pub classes: Option<&'a [String]>,
    /// What stands above the points.
    pub title: &'a str,
    /// What the horizontal and the vertical axis are.
    pub axes: [&'a str; 2],
}

/// The colour of the label that is number `rank` among the labels that occur, in order.
pub fn colour(rank: usize) -> [u8; 3] {
    if let Some(&colour) = PALETTE.get(rank) {
        return colour;
    }
    // Hues that follow each other at the golden angle are never close, however many there are.
    let hue = 6.0 * (0.618_034 * rank as f32).fract();
    let channel = |shift: f32| {
        let at = (hue + shift).rem_euclid(6.0);
        let level = (at.min(4.0 - at)).clamp(0.0, 1.0);
        (40.0 + 180.0 * level) as u8
    };
    [channel(2.0), channel(0.0), channel(4.0)]
}

/// A colour as web pages write it: `#0072b2`.
pub fn hex(colour: [u8; 3]) -> String {
    let [r, g, b] = colour;
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// What a label is called; nothing where there is none.
pub fn name(label: u32, classes: Option<&[String]>) -> String {
    if label == NO_LABEL {
        return String::new();
    }
    let named = classes.and_then(|classes| classes.get(label as usize));
    named.map_or_else(|| label.to_string(), Clone::clone)
}

/// The labels that occur, in order: the place of each is its colour's.
pub fn ranks(labels: &[u32]) -> Vec<u32> {
    let mut found = labels.to_vec();
    found.sort_unstable();
    found.dedup();
    found
}

/// Draws a map into a PNG file. Both axes have the same scale, so that distances mean what they seem to.
///
/// # Errors
/// [`crate::error::Error::Disk`] if the file cannot be written; then whatever was there before still is.
pub fn save(path: &Path, map: &Map) -> Result<()> {
    let listed = map.labels.map(ranks);
    let width = SIDE + 2 * MARGIN + if listed.is_some() { LEGEND } else { 0 };
    let mut canvas = Canvas::new(width, SIDE + 2 * MARGIN);
    canvas.frame(MARGIN - 1, MARGIN - 1, SIDE + 2);
    let finite = |p: &&[f32; 2]| p[0].is_finite() && p[1].is_finite();
    let view = View::around(map.points.iter().filter(finite));
    for (at, point) in map.points.iter().enumerate().filter(|(_, p)| finite(p)) {
        let rank = map.labels.zip(listed.as_ref()).and_then(|(labels, ranks)| ranks.binary_search(&labels[at]).ok());
        let [x, y] = view.place(*point);
        canvas.point(x, y, rank.map_or(PLAIN, colour));
    }
    canvas.text(MARGIN, (MARGIN - 2 * LETTER) / 2, map.title);
    let below = MARGIN + SIDE + (MARGIN - 2 * LETTER) / 2;
    canvas.text(MARGIN, below, &format!("{} -> from {:.1} to {:.1}", map.axes[0], view.low[0], view.high(0)));
    let upwards = format!("{} up from {:.1} to {:.1}", map.axes[1], view.low[1], view.high(1));
    canvas.text((MARGIN + SIDE).saturating_sub(2 * LETTER * upwards.len()), below, &upwards);
    for (rank, label) in listed.iter().flatten().enumerate().take(LISTED) {
        let (x, y) = (SIDE + 2 * MARGIN, MARGIN + 3 * LETTER * rank);
        canvas.fill(x, y, 2 * LETTER, colour(rank));
        let name: String = name(*label, map.classes).chars().take((LEGEND / LETTER - 4) / 2).collect();
        canvas.text(x + 3 * LETTER, y, &name);
    }
    if listed.is_some_and(|labels| labels.len() > LISTED) {
        canvas.text(SIDE + 2 * MARGIN, MARGIN + 3 * LETTER * LISTED, "...");
    }
    grid::write(path, canvas.width, canvas.height, png::ColorType::Rgb, &canvas.pixels)
}

/// Which part of the plane is seen: a square with room on all sides.
struct View {
    low: [f32; 2],
    side: f32,
}

impl View {
    fn around<'a>(points: impl Iterator<Item = &'a [f32; 2]>) -> Self {
        let (mut low, mut high) = ([f32::INFINITY; 2], [f32::NEG_INFINITY; 2]);
        for point in points {
            for axis in 0..2 {
                low[axis] = low[axis].min(point[axis]);
                high[axis] = high[axis].max(point[axis]);
            }
        }
        if low[0] > high[0] {
            return Self { low: [-1.0; 2], side: 2.0 };
        }
        let side = 1.06 * (high[0] - low[0]).max(high[1] - low[1]).max(1e-6);
        Self { low: [0, 1].map(|axis| 0.5 * (low[axis] + high[axis] - side)), side }
    }

    fn high(&self, axis: usize) -> f32 {
        self.low[axis] + self.side
    }

    /// Where on the canvas a point lies; its second coordinate grows upwards.
    fn place(&self, point: [f32; 2]) -> [f32; 2] {
        let share = |axis: usize| (point[axis] - self.low[axis]) / self.side * SIDE as f32;
        [MARGIN as f32 + share(0), (MARGIN + SIDE) as f32 - share(1)]
    }
}

struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Canvas {
    fn new(width: usize, height: usize) -> Self {
        Self { width, height, pixels: PAPER.repeat(width * height) }
    }

    /// Lets `share` of a colour cover a pixel; what lies outside is left out.
    fn blend(&mut self, x: usize, y: usize, colour: [u8; 3], share: f32) {
        if x < self.width && y < self.height {
            let at = 3 * (y * self.width + x);
            for (pixel, new) in self.pixels[at..at + 3].iter_mut().zip(colour) {
                *pixel = (f32::from(*pixel) * (1.0 - share) + f32::from(new) * share).round() as u8;
            }
        }
    }

    /// A round point with a soft edge.
    fn point(&mut self, x: f32, y: f32, colour: [u8; 3]) {
        let [left, top] = [x, y].map(|c| (c - RADIUS - 1.0).max(0.0) as usize);
        let reach = 2 * RADIUS as usize + 3;
        for (dx, dy) in (0..reach * reach).map(|i| (i % reach, i / reach)) {
            let (px, py) = (left + dx, top + dy);
            let distance = (px as f32 + 0.5 - x).hypot(py as f32 + 0.5 - y);
            let share = OPACITY * (RADIUS + 0.5 - distance).clamp(0.0, 1.0);
            self.blend(px, py, colour, share);
        }
    }

    fn fill(&mut self, left: usize, top: usize, side: usize, colour: [u8; 3]) {
        for i in 0..side * side {
            self.blend(left + i % side, top + i / side, colour, 1.0);
        }
    }

    /// A square of lines.
    fn frame(&mut self, left: usize, top: usize, side: usize) {
        for i in 0..side {
            for (x, y) in [(i, 0), (i, side - 1), (0, i), (side - 1, i)] {
                self.blend(left + x, top + y, INK, 1.0);
            }
        }
    }

    /// A line of text; what is no ASCII becomes a question mark.
    fn text(&mut self, left: usize, top: usize, text: &str) {
        for (at, letter) in text.chars().enumerate() {
            let shape =
                font8x8::legacy::BASIC_LEGACY.get(letter as usize).unwrap_or(&font8x8::legacy::BASIC_LEGACY[63]);
            for (y, x) in (0..2 * LETTER).flat_map(|y| (0..2 * LETTER).map(move |x| (y, x))) {
                if shape[y / 2] >> (x / 2) & 1 == 1 {
                    self.blend(left + 2 * LETTER * at + x, top + y, INK, 1.0);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> (usize, Vec<u8>) {
        let file = std::io::BufReader::new(std::fs::File::open(path).unwrap());
        let mut reader = png::Decoder::new(file).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!(info.color_type, png::ColorType::Rgb);
        (info.width as usize, pixels)
    }

    fn draw(points: &[[f32; 2]], labels: Option<&[u32]>) -> (usize, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("map.png");
        save(&path, &Map { points, labels, classes: None, title: "PCA", axes: ["x", "y"] }).unwrap();
        read(&path)
    }

    /// The middle of all pixels that have exactly this colour, within the square.
    fn middle(picture: &(usize, Vec<u8>), colour: [u8; 3]) -> Option<[usize; 2]> {
        let (width, pixels) = picture;
        let inside = |i: &usize| i % width < MARGIN + SIDE;
        let found: Vec<usize> =
            (0..pixels.len() / 3).filter(inside).filter(|i| pixels[3 * i..3 * i + 3] == colour).collect();
        let mean = |of: &dyn Fn(usize) -> usize| found.iter().map(|&i| of(i)).sum::<usize>() / found.len();
        (!found.is_empty()).then(|| [mean(&|i| i % width), mean(&|i| i / width)])
    }

    /// What a single point of this colour looks like on paper.
    fn on_paper(colour: [u8; 3]) -> [u8; 3] {
        colour.map(|c| (255.0 * (1.0 - OPACITY) + f32::from(c) * OPACITY).round() as u8)
    }

    #[test]
    fn points_lie_where_their_coordinates_say_and_have_the_colours_of_their_labels() {
        let picture = draw(&[[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [f32::NAN, 3.0]], Some(&[7, 3, 9, 3]));
        assert_eq!(picture.0, SIDE + 2 * MARGIN + LEGEND);
        let places = [0, 1, 2].map(|rank| middle(&picture, on_paper(colour(rank))).unwrap());
        // Labels in order are 3, 7, 9; the picture's rows grow downwards.
        let [right, origin, top] = places;
        assert!(right[0] > origin[0] + 700 && right[1].abs_diff(origin[1]) <= 1, "{places:?}");
        assert!(top[1] + 700 < origin[1] && top[0].abs_diff(origin[0]) <= 1, "{places:?}");
    }

    #[test]
    fn a_legend_stands_where_there_are_labels_only() {
        assert_eq!(draw(&[[0.0, 0.0]], None).0, SIDE + 2 * MARGIN);
        let (width, pixels) = draw(&[[0.0, 0.0], [1.0, 1.0]], Some(&[0, 1]));
        for rank in 0..2 {
            let at = 3 * ((MARGIN + 3 * LETTER * rank + 4) * width + SIDE + 2 * MARGIN + 4);
            assert_eq!(pixels[at..at + 3], colour(rank));
        }
    }

    #[test]
    fn colours_of_many_labels_differ() {
        let all: std::collections::BTreeSet<_> = (0..40).map(colour).collect();
        assert_eq!(all.len(), 40);
        assert_eq!(hex(colour(0)), "#0072b2");
    }

    #[test]
    fn nothing_to_see_and_points_in_one_place_can_be_drawn() {
        for points in [vec![], vec![[f32::NAN, 0.0]], vec![[2.0, 2.0]; 5]] {
            draw(&points, None);
        }
    }
}
