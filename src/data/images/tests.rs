use std::fs;
use std::path::PathBuf;

use png::{BitDepth, ColorType};
use tempfile::TempDir;

use super::super::FittedPreprocessing;
use super::super::npz;
use super::super::testing::{fixture, known, plain, unscaled};
use super::*;
use crate::config::White;

/// A PNG file of these samples.
fn png(width: u32, height: u32, colour: ColorType, depth: BitDepth, samples: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(colour);
    encoder.set_depth(depth);
    encoder.write_header().unwrap().write_image_data(samples).unwrap();
    bytes
}

fn grey(width: u32, height: u32, value: u8) -> Vec<u8> {
    png(width, height, ColorType::Grayscale, BitDepth::Eight, &vec![value; (width * height) as usize])
}

fn red(width: u32, height: u32) -> Vec<u8> {
    png(width, height, ColorType::Rgb, BitDepth::Eight, &[255, 0, 0].repeat((width * height) as usize))
}

fn jpeg(name: &str) -> Vec<u8> {
    fs::read(fixture(name)).unwrap()
}

/// A folder with these files, in folders of their own where names say so.
fn folder(files: &[(&str, Vec<u8>)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    folder
}

fn open(files: &[(&str, Vec<u8>)], config: &DataConfig) -> Result<Dataset> {
    dataset(folder(files).path(), &unscaled(config))
}

fn bytes(data: &Dataset) -> &[u8] {
    let Values::U8(bytes) = &data.values else { panic!("bytes stay bytes") };
    bytes
}

/// The largest difference between two decodings.
fn apart(a: &[u8], b: &[u8]) -> u8 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0)
}

/// The picture of which all JPEG fixtures were made, as planes.
fn colours() -> Vec<u8> {
    let value = |channel: usize, x: usize, y: usize| match channel {
        0 => x * 16,
        1 => y * 20,
        _ => 255_usize.saturating_sub(x * 8 + y * 10),
    };
    let pixels = (0..3).flat_map(|channel| (0..12).flat_map(move |y| (0..16).map(move |x| (channel, x, y))));
    pixels.map(|(channel, x, y)| value(channel, x, y) as u8).collect()
}

/// Without a word about pictures that are dark.
fn full() -> DataConfig {
    DataConfig { white: White::Full, ..plain() }
}

#[test]
fn folders_are_classes_and_names_give_the_order() {
    let plain = full;
    let files = [
        ("b/2.png", grey(1, 1, 20)),
        ("b/1.png", grey(1, 1, 10)),
        ("a/deeper/3.PNG", grey(1, 1, 30)),
        ("a/4.png", grey(1, 1, 40)),
        ("a/.hidden.png", vec![]),
        (".git/5.png", vec![]),
    ];
    let data = open(&files, &plain()).unwrap();
    assert_eq!((data.format, data.shape, bytes(&data)), (Format::Images, [1, 1, 1], &[40, 30, 10, 20][..]));
    assert_eq!(data.labels, Some(vec![0, 0, 1, 1]));
    assert_eq!((data.classes, data.notes), (Some(vec!["a".into(), "b".into()]), vec![]));
    let flat = open(&[("x.png", grey(1, 1, 1)), ("notes.txt", vec![])], &plain()).unwrap();
    assert_eq!((flat.labels, flat.notes), (None, vec!["1 files that are neither .png nor .jpg are left out".into()]));
    let unlabelled = open(&files, &DataConfig { labels: "none".into(), ..plain() }).unwrap();
    assert_eq!((unlabelled.labels, unlabelled.classes), (None, None));
}

#[test]
fn a_division_mixes_the_classes_and_is_always_the_same() {
    let names: Vec<String> = (0..40).map(|at| format!("{}/{at:02}.png", if at < 20 { "a" } else { "b" })).collect();
    let files: Vec<(&str, Vec<u8>)> =
        names.iter().enumerate().map(|(at, name)| (name.as_str(), grey(1, 1, at as u8))).collect();
    let config = DataConfig { test: 0.5, ..DataConfig::default() };
    let data = open(&files, &config).unwrap();
    let tested = &data.labels.as_ref().unwrap()[data.test.clone()];
    assert!(tested.contains(&0) && tested.contains(&1), "{tested:?}");
    for (at, &pixel) in bytes(&data).iter().enumerate() {
        assert_eq!((pixel as usize, data.labels.as_ref().unwrap()[at]), (data.row(at), u32::from(pixel >= 20)));
    }
    assert_eq!(open(&files, &config).unwrap().values, data.values);
}

#[test]
fn folders_called_train_and_test_are_the_parts() {
    let files = [
        ("test/b/1.png", grey(1, 1, 1)),
        ("test/a/2.png", grey(1, 1, 2)),
        ("train/a/3.png", grey(1, 1, 3)),
        ("train/b/4.png", grey(1, 1, 4)),
        ("train/b/5.png", grey(1, 1, 5)),
        ("extra/6.png", grey(1, 1, 6)),
    ];
    let data = open(&files, &plain()).unwrap();
    assert_eq!((bytes(&data), data.test.clone()), (&[3, 4, 5, 2, 1][..], 3..5));
    assert_eq!(data.labels, Some(vec![0, 1, 1, 0, 1]));
    assert!(data.notes[0].contains("extra is left out beside train and test"), "{:?}", data.notes);
}

#[test]
fn grey_colour_palette_and_sixteen_bits_keep_their_values() {
    let deep: Vec<u8> = [0_u16, 1, 40_000, 65_535].iter().flat_map(|value| value.to_be_bytes()).collect();
    let data = open(&[("a.png", png(2, 2, ColorType::Grayscale, BitDepth::Sixteen, &deep))], &plain()).unwrap();
    assert_eq!(data.values, Values::F32(vec![0.0, 1.0 / 65535.0, 40_000.0 / 65535.0, 1.0]));
    let data = open(&[("a.png", png(4, 1, ColorType::Grayscale, BitDepth::Two, &[0b00_01_10_11]))], &plain()).unwrap();
    assert_eq!(bytes(&data), [0, 85, 170, 255]);
    let data = open(&[("a.png", png(2, 1, ColorType::Rgb, BitDepth::Eight, &[1, 2, 3, 4, 5, 6]))], &plain()).unwrap();
    assert_eq!((data.shape, bytes(&data)), ([3, 1, 2], &[1, 4, 2, 5, 3, 6][..]));
    let [packed, unpacked] =
        ["palette.png", "unpacked.png"].map(|name| open(&[("a.png", jpeg(name))], &plain()).unwrap());
    assert_eq!((packed.shape, &packed.values), ([3, 12, 16], &unpacked.values));
    for (colour, shape, expected) in [(Colour::Grey, [1, 1, 1], vec![76]), (Colour::Rgb, [3, 1, 1], vec![255, 0, 0])] {
        let data = open(&[("a.png", red(1, 1))], &DataConfig { colour, ..plain() }).unwrap();
        assert_eq!((data.shape, bytes(&data)), (shape, &expected[..]));
    }
    let data = open(&[("a.png", grey(1, 1, 9))], &DataConfig { colour: Colour::Rgb, ..plain() }).unwrap();
    assert_eq!(bytes(&data), [9, 9, 9]);
}

/// The codec of the fixtures and this one round in their own ways; a picture that is upside down, mirrored or in other
/// colours is further off by far.
#[test]
fn jpeg_images_are_decoded_in_every_kind_and_turned_upright() {
    for (name, tolerance) in [("colour.jpg", 6), ("progressive.jpg", 20), ("turned.jpg", 6)] {
        let data = open(&[("a.jpg", jpeg(name))], &plain()).unwrap();
        assert_eq!(data.shape, [3, 12, 16], "{name}");
        assert!(apart(bytes(&data), &colours()) <= tolerance, "{name}: {}", apart(bytes(&data), &colours()));
    }
    let data = open(&[("a.jpg", jpeg("grey.jpg"))], &plain()).unwrap();
    let greys = open(&[("a.jpg", jpeg("colour.jpg"))], &DataConfig { colour: Colour::Grey, ..plain() }).unwrap();
    assert_eq!(data.shape, [1, 12, 16]);
    assert!(apart(bytes(&data), bytes(&greys)) <= 6);
    // What a file is shows in its first bytes.
    assert_eq!(open(&[("a.png", jpeg("grey.jpg"))], &plain()).unwrap().values, data.values);
}

#[test]
fn transparent_pixels_need_to_be_told_what_lies_behind_them() {
    let half = png(2, 1, ColorType::GrayscaleAlpha, BitDepth::Eight, &[200, 255, 100, 51]);
    let solid = png(2, 1, ColorType::GrayscaleAlpha, BitDepth::Eight, &[200, 255, 100, 255]);
    assert_eq!(bytes(&open(&[("a.png", solid)], &plain()).unwrap()), [200, 100]);
    for (background, expected) in [(Background::Black, [200, 20]), (Background::White, [200, 224])] {
        let data = open(&[("a.png", half.clone())], &DataConfig { background, ..plain() }).unwrap();
        assert_eq!(bytes(&data), expected);
    }
    let error = open(&[("a.png", half)], &DataConfig { damaged: Damaged::Skip, ..plain() }).unwrap_err();
    assert!(error.to_string().contains("a.png has transparent pixels: "), "{error}");
}

#[test]
fn images_that_do_not_go_together_are_refused_with_the_setting_that_helps() {
    let config = DataConfig::default;
    for (files, config, code, words) in [
        (
            vec![("a.png", grey(2, 2, 0)), ("b.png", grey(3, 2, 0))],
            config(),
            3,
            "a.png has 2x2 pixels and # b.png has 3x2: bring all to one size with `--set data.resize=2x2`",
        ),
        (
            vec![("a.png", grey(2, 2, 0)), ("b.png", grey(3, 2, 0))],
            DataConfig { resize: "4x4".into(), ..config() },
            3,
            "b.png has 3x2 pixels, and data.resize = 4x4 has other proportions: choose `--set data.fit=crop`",
        ),
        (
            vec![("a.png", grey(2, 2, 0)), ("b.png", red(2, 2))],
            config(),
            3,
            "a.png is grey and # b.png has colours: choose `--set data.colour=grey` or rgb",
        ),
        (
            vec![("a.png", grey(2, 2, 0)), ("c/b.png", grey(2, 2, 0))],
            config(),
            3,
            "go without labels with `--set data.labels=none`",
        ),
        (vec![("a.txt", vec![])], config(), 3, "there are no data in this folder to train on"),
        (vec![("a.png", grey(1, 1, 0))], DataConfig { labels: "x".into(), ..config() }, 2, "data.labels = x"),
        (vec![("a.png", grey(1, 1, 0))], DataConfig { validation: 1, ..config() }, 2, "data.validation = 1"),
    ] {
        let folder = folder(&files);
        let error = dataset(folder.path(), &unscaled(&config)).expect_err(words);
        let text =
            error.to_string().replace(&format!("{}{}", folder.path().display(), std::path::MAIN_SEPARATOR), "# ");
        assert!(error.exit_code() == code && text.contains(words) && !text.contains('\n'), "{words}: {text}");
    }
}

/// A PNG whose header claims this size; its checksum is right.
fn claiming(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = grey(1, 1, 0);
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let mut sum = flate2::Crc::new();
    sum.update(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&sum.sum().to_be_bytes());
    bytes
}

#[test]
fn files_that_cannot_be_read_are_named_and_counted_or_left_out() {
    let plain = full;
    let good = || grey(16, 12, 7);
    let shorter = |bytes: Vec<u8>, by: usize| bytes[..bytes.len() - by].to_vec();
    let jpeg = || jpeg("grey.jpg");
    let half = jpeg().len() / 2;
    for (name, bytes, words) in [
        ("b.png", claiming(60_000, 60_000), "it claims to have 60000x60000 pixels"),
        ("b.png", claiming(0, 5), "the header is damaged"),
        ("b.png", shorter(good(), 20), "damaged or truncated"),
        ("b.png", good()[..20].to_vec(), "the header is damaged"),
        ("b.jpg", shorter(jpeg(), 40), "damaged or truncated"),
        ("b.jpg", shorter(jpeg(), half), "damaged"),
        ("b.jpg", jpeg()[..30].to_vec(), "the header is damaged"),
        ("b.jpg", vec![], "the file is empty"),
        ("b.jpg", b"GIF89a".to_vec(), "neither a PNG nor a JPEG"),
    ] {
        let files = [("a.png", good()), (name, bytes), ("c.png", good())];
        let error = open(&files, &plain()).expect_err(words);
        let text = error.to_string();
        assert!(error.exit_code() == 3 && text.contains(&format!("{name}: ")) && text.contains(words), "{text}");
        assert!(
            text.contains("(1 of 3 images cannot be read); leave them out with `--set data.damaged=skip`"),
            "{text}"
        );
        let data = open(&files, &DataConfig { damaged: Damaged::Skip, ..plain() }).unwrap();
        assert_eq!((data.len(), data.notes.len()), (2, 1), "{words}");
        assert!(data.notes[0].contains(words) && data.notes[0].starts_with("left out: "), "{:?}", data.notes);
    }
    let none = open(&[("a.jpg", vec![])], &DataConfig { damaged: Damaged::Skip, ..plain() }).unwrap_err();
    assert!(none.to_string().contains("no image can be read"), "{none}");
}

#[test]
fn what_is_left_out_of_the_test_part_is_not_missed_in_training() {
    let files = [
        ("train/a.png", grey(1, 1, 1)),
        ("train/b.png", vec![]),
        ("test/c.png", grey(1, 1, 3)),
        ("test/d.png", vec![]),
        ("test/e.png", grey(1, 1, 5)),
    ];
    let data = open(&files, &DataConfig { damaged: Damaged::Skip, ..plain() }).unwrap();
    assert_eq!((bytes(&data), &data.train, &data.test), (&[1, 3, 5][..], &(0..1), &(1..3)));
    let error = open(&files[1..], &DataConfig { damaged: Damaged::Skip, ..plain() }).unwrap_err();
    assert!(error.to_string().contains("no image to train on can be read"), "{error}");
}

#[test]
fn no_truncated_image_is_taken_for_a_whole_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    for name in ["grey.jpg", "colour.jpg", "progressive.jpg", "palette.png"] {
        let whole = jpeg(name);
        fs::write(&path, &whole).unwrap();
        assert!(decode::picture(&path).is_ok(), "{name}");
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            assert!(decode::picture(&path).is_err(), "{length} of {} bytes of {name}", whole.len());
        }
    }
}

#[test]
fn no_flipped_byte_makes_the_decoders_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    for name in ["grey.jpg", "progressive.jpg", "turned.jpg", "palette.png"] {
        let whole = jpeg(name);
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= if at % 2 == 0 { 0x10 } else { 0xff };
            fs::write(&path, bytes).unwrap();
            if let Ok(picture) = decode::picture(&path) {
                assert_eq!(picture.plane(0, 1, 0.0).len(), picture.width * picture.height, "{name}: byte {at}");
            }
        }
    }
}

#[test]
fn sizes_are_changed_as_pillow_changes_them() {
    let config = |array: String| DataConfig { array, ..plain() };
    let read = |array: &str| {
        let data = npz::dataset(&fixture("resized.npz"), &unscaled(&config(array.to_owned()))).unwrap();
        let Values::F32(values) = data.values else { panic!("floats stay floats") };
        values
    };
    let image = read("image");
    assert_eq!(image.len(), 14 * 9);
    let near = |a: &[f32], b: &[f32]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
    for to in [[14, 9], [7, 3], [5, 4], [28, 20], [1, 1], [20, 2]] {
        let name = format!("{}x{}", to[0], to[1]);
        let scaled = resample::fit(&image, [14, 9], to, Fit::Stretch);
        assert!(near(&scaled, &read(&name)), "{name}: {scaled:?}");
    }
    assert!(near(&resample::fit(&image, [14, 9], [4, 4], Fit::Crop), &read("crop")));
}

#[test]
fn crops_and_bars_keep_to_the_middle() {
    let image: Vec<f32> = (0..8).map(|x| x as f32).collect();
    assert_eq!(resample::fit(&image, [4, 2], [2, 2], Fit::Crop), [1.0, 2.0, 5.0, 6.0]);
    assert_eq!(resample::fit(&image, [2, 4], [2, 2], Fit::Crop), [2.0, 3.0, 4.0, 5.0]);
    let padded = resample::fit(&[1.0; 8], [4, 2], [4, 4], Fit::Pad);
    assert_eq!(padded, [[0.0; 4], [1.0; 4], [1.0; 4], [0.0; 4]].concat());
    let two_planes = resample::fit(&[1.0, 2.0], [1, 1], [3, 1], Fit::Pad);
    assert_eq!(two_planes, [0.0, 1.0, 0.0, 0.0, 2.0, 0.0]);
    let resized = DataConfig { resize: "2x2".into(), fit: Fit::Crop, ..plain() };
    let data = open(&[("a.png", grey(4, 2, 9)), ("b.png", grey(3, 7, 8))], &resized).unwrap();
    assert_eq!(bytes(&data), [9, 9, 9, 9, 8, 8, 8, 8]);
}

#[test]
fn all_eight_orientations_give_the_upright_picture() {
    // 1 2 3     How each code stores it (Exif 2.3, figure of tag 274).
    // 4 5 6
    let upright = [1, 2, 3, 4, 5, 6];
    for (code, stored) in [
        (1, [1, 2, 3, 4, 5, 6]),
        (2, [3, 2, 1, 6, 5, 4]),
        (3, [6, 5, 4, 3, 2, 1]),
        (4, [4, 5, 6, 1, 2, 3]),
        (5, [1, 4, 2, 5, 3, 6]),
        (6, [3, 6, 2, 5, 1, 4]),
        (7, [6, 3, 5, 2, 4, 1]),
        (8, [4, 1, 5, 2, 6, 3]),
        (9, [1, 2, 3, 4, 5, 6]),
    ] {
        for big in [false, true] {
            let words: &[u16] = &[1, 0x0112, 3];
            let short = |word: u16| if big { word.to_be_bytes() } else { word.to_le_bytes() };
            let long = |word: u32| if big { word.to_be_bytes() } else { word.to_le_bytes() };
            let mut exif = if big { b"MM\0*".to_vec() } else { b"II*\0".to_vec() };
            exif.extend(long(8));
            exif.extend(words.iter().flat_map(|&word| short(word)));
            exif.extend(long(1));
            exif.extend(short(code));
            let orientation = orientation::Orientation::of(&exif);
            assert_eq!(orientation.upright([3, 2], 1, &stored), upright, "code {code}");
            for length in 0..exif.len() {
                orientation::Orientation::of(&exif[..length]);
            }
        }
    }
}

#[test]
fn classes_that_a_model_knows_keep_their_numbers() {
    let names = ["b".to_owned(), "c".to_owned()];
    let config = plain();
    let request =
        known(&config, FittedPreprocessing { classes: Some(&names), floats: true, ..FittedPreprocessing::default() });
    let folder = folder(&[("a/1.png", grey(1, 1, 1)), ("b/2.png", grey(1, 1, 2))]);
    let data = dataset(folder.path(), &request).unwrap();
    assert_eq!(data.labels, Some(vec![2, 0]));
    assert_eq!(data.classes, Some(["b", "c", "a"].map(String::from).to_vec()));
}

#[test]
fn links_that_lead_back_end() {
    let folder = folder(&[("a/1.png", grey(1, 1, 1))]);
    #[cfg(unix)]
    {
        let path: PathBuf = folder.path().join("a/loop");
        std::os::unix::fs::symlink(folder.path(), path).unwrap();
        let error = dataset(folder.path(), &unscaled(&plain())).unwrap_err();
        assert!(error.to_string().contains("folders deep"), "{error}");
    }
    drop(folder);
}

#[test]
fn images_are_decoded_in_portions_and_what_is_damaged_keeps_its_place() {
    let cut = |value| grey(6, 5, value)[..60].to_vec();
    let files: Vec<(String, Vec<u8>)> =
        (0..7).map(|at| (format!("{at}.png"), if at % 4 == 3 { cut(at) } else { grey(6, 5, at) })).collect();
    let files: Vec<(&str, Vec<u8>)> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    let folder = folder(&files);
    let images = files::list(folder.path(), "").unwrap().images;
    let target = Target { width: 6, height: 5, channels: 1, deep: false };
    for at_once in [1, 2, 3, 7] {
        for mut pictures in [Pictures::Memory(vec![]), Pictures::Disk(Scratch::new("photos").unwrap())] {
            let faults =
                decode_all(&images, target, &plain(), &portions(&vec![0; images.len()], at_once, 0), &mut pictures)
                    .unwrap();
            assert_eq!(faults.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [3], "{at_once} at a time");
            let values = match pictures.finish("photos", target, &[5, 4, 3, 2, 1, 0]).unwrap() {
                Values::Disk(disk) => disk.values(&[0, 1, 2, 3, 4, 5]).unwrap(),
                values => values,
            };
            let expected = [6, 5, 4, 2, 1, 0].iter().flat_map(|&value| vec![value; 30]);
            assert_eq!(values, Values::U8(expected.collect()), "{at_once} at a time");
        }
    }
}

#[test]
fn large_pictures_are_decoded_a_few_at_a_time() {
    for (costs, at_once, memory, expected) in [
        (&[1, 1, 1, 1, 1][..], 2, 100, &[2, 2, 1][..]),
        (&[60, 60, 30, 30, 30], 4, 100, &[1, 2, 2]),
        (&[500, 1, 1, 500], 9, 100, &[1, 2, 1]),
        (&[0, 0, 0], 9, 0, &[3]),
        (&[], 9, 100, &[]),
        (&[u64::MAX, u64::MAX], 9, u64::MAX - 1, &[1, 1]),
    ] {
        assert_eq!(portions(costs, at_once, memory), expected, "{costs:?}");
    }
    let header = Header { width: 1 << 13, height: 1 << 13, colour: true, deep: false };
    // Samples with alpha twice, and a plane of floats.
    assert_eq!(header.bytes(), (1 << 26) * (8 + 4));
    let deep = Header { colour: false, deep: true, ..header };
    assert_eq!(deep.bytes(), (1 << 26) * (8 + 4));
}
