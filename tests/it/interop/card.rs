//! The lines of Python on a model's card, computed in f64 by what they say, with the tensors of the file beside it.

use super::evaluator::{Matrix, convolution, means, normalised, repeated, softmax};
use elbo::data::table::{ColumnKind, Encoding};
use std::collections::BTreeMap;

/// Tensors of a safetensors file by name, with their shapes.
pub type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// What a function of the card returns for rows of numbers, and of a conditional model for the class of each.
pub fn call(
    card: &str,
    function: &str,
    (tensors, encoding): (&Tensors, Option<&Encoding>),
    [rows, classes]: [&[f64]; 2],
    width: usize,
) -> Vec<Matrix> {
    let given = [(rows, width), (classes, 1)];
    call_with(card, function, (tensors, encoding), &given[..if classes.is_empty() { 1 } else { 2 }])
}

/// The same of a function of so many arguments, each with its numbers of a row.
pub fn call_with(
    card: &str,
    function: &str,
    (tensors, encoding): (&Tensors, Option<&Encoding>),
    given: &[(&[f64], usize)],
) -> Vec<Matrix> {
    let text = card.split(&format!("def {function}(")).nth(1).expect("the card has the function");
    let (arguments, lines) = text.split_once("):\n").expect("what it takes ends");
    let given = given.iter().map(|(values, width)| Matrix::of(&[*width], values.to_vec()));
    let arguments = parts(arguments);
    assert_eq!(arguments.len(), given.len(), "{function}({arguments:?})");
    let mut known: BTreeMap<&str, Matrix> =
        constants(encoding).into_iter().chain(arguments.into_iter().zip(given)).collect();
    for line in lines.lines() {
        if let Some(returned) = line.trim().strip_prefix("return ") {
            return parts(returned).into_iter().map(|part| value(part, &known, tensors)).collect();
        }
        let (name, expression) = line.trim().split_once(" = ").unwrap_or_else(|| panic!("what is `{line}`?"));
        if name == "q, k, v" {
            let heads = numbers(expression)[1] as usize;
            assert_eq!(
                expression,
                format!(
                    "(part.unflatten(1, ({heads}, -1)).flatten(3).transpose(2, 3) for part in {}.chunk(3, 1))",
                    port(expression)
                )
            );
            let seen = attention(&known[port(expression)], heads);
            known.insert("seen", seen);
        } else if expression.starts_with("F.scaled_dot_product_attention(q, k, v).transpose(2, 3).reshape(") {
            let seen = known.remove("seen").expect("queries come before");
            known.insert(name, seen);
        } else {
            let made = of_pixels(expression, &known, tensors).unwrap_or_else(|| value(expression, &known, tensors));
            known.insert(name, made);
        }
    }
    panic!("{function} returns nothing")
}

/// What a line that chunks is about.
fn port(expression: &str) -> &str {
    expression.rsplit_once(".chunk").and_then(|(before, _)| before.rsplit(' ').next()).expect("it is chunked")
}

/// The last three of queries, keys and values, [3C, height, width], each of which sees all pixels by so many heads.
fn attention(x: &Matrix, heads: usize) -> Matrix {
    let (channels, pixels) = (x.extents[0] / 3, x.extents[1] * x.extents[2]);
    let of_head = channels / heads;
    let row = |row: &[f64]| -> Vec<f64> {
        let at = |part: usize, channel: usize, pixel: usize| row[(part * channels + channel) * pixels + pixel];
        let mut made = vec![0.0; channels * pixels];
        for (head, from) in (0..heads).flat_map(|head| (0..pixels).map(move |pixel| (head, pixel))) {
            let own = head * of_head..(head + 1) * of_head;
            let alike = |to: usize| own.clone().map(|c| at(0, c, from) * at(1, c, to)).sum::<f64>();
            let shares: Vec<f64> = (0..pixels).map(|to| (alike(to) / (of_head as f64).sqrt()).exp()).collect();
            let all: f64 = shares.iter().sum();
            for c in own.clone() {
                made[c * pixels + from] = (0..pixels).map(|to| shares[to] / all * at(2, c, to)).sum();
            }
        }
        made
    };
    let values = x.values.chunks_exact(x.columns).flat_map(row).collect();
    Matrix::of(&[channels, x.extents[1], x.extents[2]], values)
}

/// A number of an image by its channel and pixel, given those of the pixel that is read.
type OfPixel<'a> = &'a dyn Fn(&dyn Fn(usize) -> f64, usize, usize) -> f64;

/// What is the same for every pixel: a dense map, a normalisation of its channels; and positions, other ones for each.
fn of_pixels(text: &str, known: &BTreeMap<&str, Matrix>, tensors: &Tensors) -> Option<Matrix> {
    let name = text.split('"').nth(1)?;
    let tensor = |kind: &str| {
        let (_, values) = &tensors[&format!("{}.{kind}", name.trim_end_matches(".weight"))];
        values.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>()
    };
    let shape = |kind: &str| &tensors[&format!("{name}.{kind}")].0;
    // Numbers in a row are an image of one pixel.
    let sides = |x: &Matrix| if x.extents.len() == 1 { [1, 1] } else { [x.extents[1], x.extents[2]] };
    let image = |x: &Matrix, channels: usize, f: OfPixel| {
        let pixels: usize = sides(x).iter().product();
        let row = |row: &[f64]| -> Vec<f64> {
            let one = |at: usize| f(&|c| row[c * pixels + at % pixels], at / pixels, at % pixels);
            (0..channels * pixels).map(one).collect()
        };
        let values = x.values.chunks_exact(x.columns).flat_map(row).collect();
        Matrix::of(&[channels, sides(x)[0], sides(x)[1]], values)
    };
    if let Some((x, rest)) = text.split_once(" + tensors[") {
        let (x, weight) = (&known[x], tensor("weight"));
        assert!(rest.contains("].T.unflatten(1, "), "{text}");
        let channels = x.extents[0];
        return Some(image(x, channels, &|pixel, c, at| pixel(c) + weight[at * channels + c]));
    }
    let inside = text.strip_suffix(".movedim(-1, 1)")?;
    let (function, rest) = inside.strip_prefix("F.")?.split_once('(')?;
    let x = &known[rest.split_once(".movedim(1, -1), ")?.0];
    let (weight, bias, inputs) = (tensor("weight"), tensor("bias"), x.extents[0]);
    match function {
        "linear" => {
            let outputs = shape("weight")[0];
            let sum = |pixel: &dyn Fn(usize) -> f64, o: usize| {
                (0..inputs).map(|c| weight[o * inputs + c] * pixel(c)).sum::<f64>()
            };
            Some(image(x, outputs, &|pixel, o, _| sum(pixel, o) + bias[o]))
        }
        "layer_norm" => Some(image(x, inputs, &|pixel, c, _| {
            let mean = (0..inputs).map(pixel).sum::<f64>() / inputs as f64;
            let variance = (0..inputs).map(|c| (pixel(c) - mean).powi(2)).sum::<f64>() / inputs as f64;
            (pixel(c) - mean) / (variance + 1e-5).sqrt() * weight[c] + bias[c]
        })),
        _ => panic!("what is `{text}`?"),
    }
}

/// What stands between commas that are in no brackets.
fn parts(text: &str) -> Vec<&str> {
    let (mut depth, mut first, mut found) = (0, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            ',' if depth == 0 => {
                found.push(text[first..at].trim());
                first = at + 1;
            }
            _ => {}
        }
    }
    found.push(text[first..].trim());
    found
}

/// All numbers in a text, but for those in names between quotation marks.
fn numbers(text: &str) -> Vec<f64> {
    let outside: String = text.split('"').step_by(2).collect();
    let words = outside.split(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-'));
    words.filter_map(|word| word.parse().ok()).collect()
}

/// Where an operator stands that is in no brackets, and what it is; the last one, so that others are done before it.
fn operator<'a>(text: &str, operators: &[&'a str]) -> Option<(usize, &'a str)> {
    let mut depth = 0;
    let places = text.char_indices().filter_map(|(at, c)| {
        depth += i32::from(matches!(c, '(' | '[')) - i32::from(matches!(c, ')' | ']'));
        operators.iter().find(|op| depth == 0 && text[at..].starts_with(**op)).map(|op| (at, *op))
    });
    places.last()
}

/// Where the last pair of brackets begins, which ends the text.
fn last_bracket(text: &str) -> usize {
    let mut depth = 0;
    let open = text.char_indices().rev().find(|(_, c)| {
        depth += i32::from(matches!(c, ')' | ']')) - i32::from(matches!(c, '(' | '['));
        depth == 0
    });
    open.filter(|_| text.ends_with([')', ']'])).unwrap_or_else(|| panic!("what is `{text}`?")).0
}

fn value(text: &str, known: &BTreeMap<&str, Matrix>, tensors: &Tensors) -> Matrix {
    for operators in [&[" >= "][..], &[" + ", " - "], &[" * ", " / "]] {
        let Some((at, op)) = operator(text, operators) else { continue };
        let [a, b] = [&text[..at], &text[at + op.len()..]].map(|side| value(side, known, tensors));
        return a.zip(&b.along(&a), |a, b| match op {
            " >= " => f64::from(u8::from(a >= b)),
            " + " => a + b,
            " - " => a - b,
            " * " => a * b,
            _ => a / b,
        });
    }
    if let Some(found) = known.get(text) {
        return found.clone();
    }
    if let Ok(number) = text.parse() {
        return Matrix::of(&[1], vec![number]);
    }
    if let Some(name) = text.strip_prefix("tensors[\"").and_then(|rest| rest.strip_suffix("\"]")) {
        let (shape, values) = &tensors[name];
        return Matrix::of(shape, values.iter().map(|&x| f64::from(x)).collect());
    }
    let open = last_bracket(text);
    let (callee, arguments) = (&text[..open], &text[open + 1..text.len() - 1]);
    match callee {
        "" => return value(arguments, known, tensors),
        "mixture_mean" => {
            let all = parts(arguments);
            let sizes = numbers(&all[1..].join(","));
            return mixture_mean(&value(all[0], known, tensors), [0, 1, 2].map(|at| sizes[at] as usize));
        }
        "table_mean" => return table_mean(&value(arguments, known, tensors), known),
        "torch.where" => {
            let [which, a, b] = [0, 1, 2].map(|at| value(parts(arguments)[at], known, tensors));
            let [a, b] =
                [(a, 1.0), (b, 0.0)].map(|(x, wanted)| x.zip(&which, |x, w| if w == wanted { x } else { 0.0 }));
            return a.zip(&b, |a, b| a + b);
        }
        "torch.cat" => {
            let all = parts(arguments);
            let list = all[0].strip_prefix('[').and_then(|list| list.strip_suffix(']')).expect("a list is joined");
            assert_eq!(all[1], "1", "numbers of each row are joined");
            if let Some(of) = list.strip_prefix("column.softmax(1) for column in ") {
                let open = last_bracket(of);
                let widths: Vec<usize> = numbers(parts(&of[open + 1..of.len() - 1])[0].trim_matches(['[', ']']))
                    .into_iter()
                    .map(|n| n as usize)
                    .collect();
                let x = value(of[..open].strip_suffix(".split").expect("columns are split"), known, tensors);
                return joined(&split(&x, &widths).iter().map(softmax_of_rows).collect::<Vec<_>>());
            }
            return joined(&parts(list).into_iter().map(|part| value(part, known, tensors)).collect::<Vec<_>>());
        }
        _ => {}
    }
    if text.ends_with(']') {
        let x = value(callee, known, tensors);
        return match arguments.strip_prefix(":, ").map(|range| range.split_once(':').expect("a range")) {
            Some(("", end)) => split(&x, &[end.parse().unwrap(), x.columns - end.parse::<usize>().unwrap()]).remove(0),
            Some((begin, "")) => {
                split(&x, &[begin.parse().unwrap(), x.columns - begin.parse::<usize>().unwrap()]).remove(1)
            }
            Some((begin, end)) => {
                let [begin, end] = [begin, end].map(|at| at.parse::<usize>().unwrap());
                split(&x, &[begin, end - begin, x.columns - end]).remove(1)
            }
            None => chosen(&x, &value(arguments, known, tensors)),
        };
    }
    let (before, name) = callee.rsplit_once('.').unwrap_or_else(|| panic!("what is `{text}`?"));
    if before == "F" || before == "torch" {
        let x = value(parts(arguments)[0], known, tensors);
        return function(name, &x, arguments, tensors);
    }
    let (x, extents) = (value(before, known, tensors), numbers(arguments));
    let extents: Vec<usize> = extents.iter().skip(1).map(|&n| n as usize).collect();
    match name {
        "unflatten" if arguments == "1, (-1, 1, 1)" => x.lie(&[x.columns, 1, 1]),
        "reshape" | "unflatten" => x.lie(&extents),
        "mean" => {
            assert_eq!(arguments, "(2, 3)", "a mean of pixels");
            let pixels = x.extents[1] * x.extents[2];
            let mean = |plane: &[f64]| plane.iter().sum::<f64>() / pixels as f64;
            Matrix::of(&[x.extents[0]], x.values.chunks_exact(pixels).map(mean).collect())
        }
        "flatten" => x.lie(&[x.columns]),
        "softmax" => softmax(&x),
        "log_softmax" => softmax(&x).map(f64::ln),
        "float" => x.map(|x| f64::from(x as f32)),
        "log" => x.map(f64::ln),
        "exp" => x.map(f64::exp),
        "nan_to_num" => x.map(|x| if x.is_nan() { numbers(arguments)[0] } else { x }),
        "clamp" => {
            let range = numbers(arguments);
            x.map(|x| x.clamp(range[0], range[1]))
        }
        _ => panic!("what is `{text}`?"),
    }
}

/// Columns of so many numbers each.
fn split(x: &Matrix, widths: &[usize]) -> Vec<Matrix> {
    assert_eq!(widths.iter().sum::<usize>(), x.columns);
    let starts = widths.iter().scan(0, |end, width| Some(std::mem::replace(end, *end + width)));
    let column = |(start, &width): (usize, &usize)| {
        Matrix::of(
            &[width],
            x.values.chunks_exact(x.columns).flat_map(|row| row[start..start + width].to_vec()).collect(),
        )
    };
    starts.zip(widths).map(column).collect()
}

/// The numbers of a row where another has ones.
fn chosen(x: &Matrix, which: &Matrix) -> Matrix {
    let values: Vec<f64> = x.values.iter().zip(&which.values).filter(|(_, w)| **w == 1.0).map(|(x, _)| *x).collect();
    Matrix::of(&[values.len()], values)
}

fn softmax_of_rows(x: &Matrix) -> Matrix {
    let row = |row: &[f64]| -> Vec<f64> {
        let sum: f64 = row.iter().map(|x| x.exp()).sum();
        row.iter().map(|x| x.exp() / sum).collect()
    };
    Matrix::of(&[x.columns], x.values.chunks_exact(x.columns).flat_map(row).collect())
}

/// The mean of each place of a table, by its kind: the names of the kinds come before the equals sign.
fn table_mean(out: &Matrix, known: &BTreeMap<&str, Matrix>) -> Matrix {
    let [widths, kinds] = ["widths", "kinds"].map(|name| &known[name].values);
    let widths: Vec<usize> = widths.iter().map(|&width| width as usize).collect();
    let rest = out.columns - widths.iter().sum::<usize>();
    let columns = split(out, &[&widths[..], &[rest]].concat());
    let mean = |(x, kind): (&Matrix, &f64)| match kind {
        1.0 => x.map(|x| 1.0 / (1.0 + (-x).exp())),
        2.0 => softmax_of_rows(x),
        3.0 => x.map(|x| x.clamp(-20.0, 20.0).exp()),
        _ => x.clone(),
    };
    joined(&columns.iter().zip(kinds).map(mean).collect::<Vec<_>>())
}

/// What the lines above the functions make of `config.json`: shift and scale of every place, which are counts and which
/// are numbers, and of every column how many places it has and what it is (1 binary, 2 a category, 3 a count).
pub fn constants(encoding: Option<&Encoding>) -> BTreeMap<&'static str, Matrix> {
    let Some(encoding) = encoding else { return BTreeMap::new() };
    let row = |values: Vec<f64>| Matrix::of(&[values.len()], values);
    let kind = |kind: &ColumnKind| match kind {
        ColumnKind::Binary { .. } => 1.0,
        ColumnKind::Category { .. } | ColumnKind::Numbered { .. } => 2.0,
        ColumnKind::Count => 3.0,
        ColumnKind::Numeric { .. } | ColumnKind::Text { .. } => 0.0,
    };
    let columns = &encoding.columns;
    let all = columns.iter().flat_map(|column| vec![kind(&column.kind); column.kind.width()]);
    let are = |wanted: f64| row(all.clone().map(|kind| f64::from(u8::from(kind == wanted))).collect());
    let fitted = encoding.fitted();
    [
        ("shift", row(fitted.iter().map(|[shift, _]| *shift).collect())),
        ("scale", row(fitted.iter().map(|[_, scale]| *scale).collect())),
        ("counts", are(3.0)),
        ("numeric", are(0.0)),
        ("widths", row(columns.iter().map(|column| column.kind.width() as f64).collect())),
        ("kinds", row(columns.iter().map(|column| kind(&column.kind)).collect())),
    ]
    .into()
}

fn function(name: &str, x: &Matrix, arguments: &str, tensors: &Tensors) -> Matrix {
    let tensor = |kind: &str| {
        let layer = arguments.split('"').nth(1).expect("parameters have a name");
        let (shape, values) = &tensors[&format!("{layer}.{kind}")];
        Matrix::of(shape, values.iter().map(|&x| f64::from(x)).collect())
    };
    let inputs = || [x.clone(), tensor("weight"), tensor("bias")];
    let own = numbers(&parts(arguments).get(1..).unwrap_or_default().join(","));
    let whole: Vec<usize> = own.iter().map(|&n| n as usize).collect();
    match name {
        "relu" => x.map(|x| x.max(0.0)),
        "leaky_relu" => x.map(|x| x.max(own[0] * x)),
        "log1p" => x.map(f64::ln_1p),
        "softplus" => x.map(|x| x.max(0.0) + (-x.abs()).exp().ln_1p()),
        "gelu" if !arguments.contains("approximate") => {
            x.map(|x| 0.5 * x * (1.0 + super::evaluator::erf(x * std::f64::consts::FRAC_1_SQRT_2)))
        }
        "gelu" => {
            assert!(arguments.ends_with("approximate=\"tanh\""), "{arguments}");
            let tanh = |x: f64| ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh();
            x.map(|x| 0.5 * x * (1.0 + tanh(x)))
        }
        "tanh" => x.map(f64::tanh),
        "sigmoid" => x.map(|x| 1.0 / (1.0 + (-x).exp())),
        "silu" => x.map(|x| x / (1.0 + (-x).exp())),
        "one_hot" => one_hot(x, whole[0]),
        "linear" => linear(x, &tensor("weight"), &tensor("bias")),
        "conv2d" => convolution(false, [whole[0], whole[1], 0, 0], &inputs()),
        "conv_transpose2d" => convolution(true, [whole[0], whole[1], whole[2], whole[3]], &inputs()),
        "avg_pool2d" => means(x, whole[0], whole[1]),
        "interpolate" => {
            assert!(arguments.ends_with("mode=\"nearest\""), "{arguments}");
            repeated(x, &Matrix::of(&[4], vec![1.0, 1.0, own[0], own[0]]))
        }
        "group_norm" => {
            let (groups, channels) = (whole[0], x.extents[0]);
            let all = |value| Matrix::of(&[groups], vec![value; groups]);
            let normal = normalised(&[x.lie(&[groups, x.columns / groups]), all(1.0), all(0.0)]);
            let normal = normal.lie(&[channels, x.columns / channels]);
            let column = |kind| Matrix { extents: vec![channels, 1], ..tensor(kind) }.along(&normal);
            normal.zip(&column("weight"), |x, scale| x * scale).zip(&column("bias"), |x, b| x + b).lie(&x.extents)
        }
        "batch_norm" => {
            let channels = x.extents[0];
            let of = |kind: &str| {
                let (layer, _) = arguments.split('"').nth(1).and_then(|name| name.rsplit_once('.')).expect("a name");
                let (_, values) = &tensors[&format!("{layer}.{kind}")];
                values.iter().map(|&x| f64::from(x)).collect::<Vec<_>>()
            };
            let [mean, variance, scale, shift] = ["running_mean", "running_var", "weight", "bias"].map(of);
            let pixels = x.columns / channels;
            let row = |row: &[f64]| -> Vec<f64> {
                let at = |(at, x): (usize, &f64)| {
                    let c = at / pixels;
                    (x - mean[c]) / (variance[c] + 1e-5).sqrt() * scale[c] + shift[c]
                };
                row.iter().enumerate().map(at).collect()
            };
            Matrix::of(&x.extents, x.values.chunks_exact(x.columns).flat_map(row).collect())
        }
        _ => panic!("what is {name}({arguments})?"),
    }
}

/// A one among zeros in the place of each class.
fn one_hot(classes: &Matrix, count: usize) -> Matrix {
    let row = |&class: &f64| (0..count).map(move |other| f64::from(u8::from(other == class as usize)));
    Matrix::of(&[count], classes.values.iter().flat_map(row).collect())
}

/// Rows side by side.
fn joined(all: &[Matrix]) -> Matrix {
    let (rows, columns) = (all[0].values.len() / all[0].columns, all.iter().map(|part| part.columns).sum());
    let row = |row: usize| all.iter().flat_map(move |part| &part.values[row * part.columns..][..part.columns]).copied();
    // Planes of images come one after the other, as numbers do.
    let extents = match all[0].extents[..] {
        [_, height, wide] => vec![columns / height / wide, height, wide],
        _ => vec![columns],
    };
    Matrix::of(&extents, (0..rows).flat_map(row).collect())
}

/// The mean of a mixture of logistics, by its definition.
fn mixture_mean(out: &Matrix, [components, channels, pixels]: [usize; 3]) -> Matrix {
    let row = |out: &[f64]| -> Vec<f64> {
        let value = |at: usize| {
            let weight = |k: usize| out[k * pixels + at % pixels].exp();
            let mean = |k: usize| out[(components + k * channels) * pixels + at].clamp(-1.0, 1.0);
            let sum: f64 = (0..components).map(|k| weight(k) * mean(k)).sum();
            0.5 + 0.5 * sum / (0..components).map(weight).sum::<f64>()
        };
        (0..channels * pixels).map(value).collect()
    };
    Matrix::of(&[channels * pixels], out.values.chunks_exact(out.columns).flat_map(row).collect())
}

/// x·Wᵀ + b.
fn linear(x: &Matrix, weight: &Matrix, bias: &Matrix) -> Matrix {
    let (outputs, inputs) = (weight.extents[0], weight.extents[1]);
    assert_eq!(x.extents, [inputs]);
    let row = |x: &[f64]| -> Vec<f64> {
        let output = |o: usize| {
            let products = weight.values[o * inputs..(o + 1) * inputs].iter().zip(x).map(|(w, x)| w * x);
            products.sum::<f64>() + bias.values[o]
        };
        (0..outputs).map(output).collect()
    };
    Matrix::of(&[outputs], x.values.chunks_exact(inputs).flat_map(row).collect())
}
