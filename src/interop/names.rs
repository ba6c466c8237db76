//! From the layers of somebody else's file to the networks of a VAE: which is which, by their names.
//!
//! A layer is `NAME.weight` [outputs, inputs] and `NAME.bias` [outputs]. What a name says is read off its parts:
//!
//! - `mu`, `mean` or `loc`: the mean; `logvar`, `log_var`, `log_variance`, `lv`: the log-variance;
//! - a part that begins with `enc`: the encoder; with `dec`: the decoder;
//! - `out`, `output`, `logits`, `recon`: the decoder's last layer;
//! - `fc1`, `fc21`, `fc22`, `fc3`, `fc4`: the layers of the VAE among PyTorch's examples.
//!
//! What wrappers put into names, `module` (data parallelism) and `_orig_mod` (`torch.compile`), is taken off.
//!
//! Layers of one network follow each other by their names, numbers in them by value. Where the encoder has no heads of
//! their own, its last layer holds both, the mean first.

use super::linear::{Form, Linear, running, together};
use crate::checkpoint::Tensor;
use crate::config::ModelConfig;
use crate::error::{Error, Result};
use crate::model::network::Map;

/// A result, or what is wrong, for a caller who knows the file.
type Checked<T> = std::result::Result<T, String>;

/// The layers of a VAE in their places.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// Hidden layers, from the data inwards.
    pub encoder: Vec<Linear>,
    /// The posterior's mean.
    pub mean: Linear,
    /// The posterior's log-variance.
    pub log_variance: Linear,
    /// Hidden layers, from the latent outwards.
    pub decoder: Vec<Linear>,
    /// The decoder's logits or means.
    pub out: Linear,
    /// The decoder's log-variances, where it gives them.
    pub out_log_variance: Option<Linear>,
}

impl Network {
    /// The same without normalisations.
    #[must_use]
    pub fn without_norms(&self) -> Self {
        let mut network = self.clone();
        network.encoder.retain(|layer| layer.form != Form::Norm);
        network.decoder.retain(|layer| layer.form != Form::Norm);
        network
    }

    /// The layer that reads the data.
    pub fn first(&self) -> &Linear {
        self.encoder.first().unwrap_or(&self.mean)
    }
}

/// Where a layer belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LayerRole {
    Encoder,
    Mean,
    LogVariance,
    Decoder,
    Out,
    OutLogVariance,
}

/// The names that `--map` knows.
pub const PLACES: &str = "encoder.N, encoder.mean, encoder.log_variance, decoder.N, decoder.out, decoder.log_variance";

/// A tensor's name without what wrappers put into it.
pub fn unwrapped(name: &str) -> String {
    name.split('.').filter(|part| !["module", "_orig_mod"].contains(part)).collect::<Vec<_>>().join(".")
}

/// What follows `prefix` in a tensor's name, which wrappers may have put something into; none where it begins otherwise,
/// and none for how many batches a normalisation of PyTorch has seen, a whole number that says nothing of a layer.
pub fn within(name: &str, prefix: &str) -> Option<String> {
    if name.ends_with("num_batches_tracked") {
        return None;
    }
    name.strip_prefix(prefix).map(unwrapped).or_else(|| unwrapped(name).strip_prefix(prefix).map(str::to_owned))
}

/// The layers of a file. `prefix` is what the names of its tensors begin with; what begins otherwise is left out.
/// Of convolutions the weight is [outputs, inputs, taps, taps], or of transposed ones [inputs, outputs, taps, taps]: which,
/// the model says that they are for ([`fitted`]). A layer that was made without a bias has one of zeros.
///
/// # Errors
/// What is wrong, naming the tensor: a shape that is no layer's.
pub fn layers(tensors: Vec<(String, Tensor)>, prefix: &str) -> Checked<Vec<Linear>> {
    let found = tensors.into_iter().filter_map(|(name, t)| Some((within(&name, prefix)?, t)));
    let (weights, mut others): (Vec<_>, Vec<_>) = found.partition(|(name, _)| name.ends_with(".weight"));
    let mut all: Vec<Linear> = Vec::new();
    for (name, weight) in weights {
        let layer = name.trim_end_matches(".weight");
        let (outputs, inputs, form) = match weight.shape[..] {
            [outputs, inputs] => (outputs, inputs, Form::Dense),
            [outputs] => (outputs, outputs, Form::Norm),
            [outputs, inputs, taps, wide] if taps == wide => (outputs, inputs, Form::Conv(taps)),
            _ => {
                return Err(format!(
                    "`{prefix}{name}` has shape {:?}: what can be imported are fully connected layers, [outputs, inputs], \
                     convolutions with as many taps on both sides, and normalisations of groups",
                    weight.shape
                ));
            }
        };
        let bias = others.iter().position(|(other, _)| other.strip_suffix(".bias") == Some(layer));
        let bias = match (bias, form) {
            (Some(at), _) => others.swap_remove(at).1,
            // Of a convolution the weight does not tell which of two extents the outputs are, and so not how many zeros.
            (None, Form::Conv(_) | Form::ConvTranspose(_)) => Tensor { shape: vec![], values: vec![] },
            (None, Form::Dense | Form::Norm | Form::Positions) => {
                Tensor { shape: vec![outputs], values: vec![0.0; outputs] }
            }
        };
        let bare = bias.values.is_empty();
        let transposed = matches!(form, Form::Conv(_)) && bias.shape == [inputs];
        if !(bare || transposed || bias.shape == [outputs]) || inputs == 0 || outputs == 0 {
            return Err(format!("`{prefix}{layer}` has shapes {:?} and {:?}", weight.shape, bias.shape));
        }
        let (weight, bias) = (weight.values, bias.values);
        if !weight.iter().chain(&bias).all(|value| value.is_finite()) {
            return Err(format!("`{prefix}{layer}` has numbers that are not finite"));
        }
        if all.iter().any(|other| other.name == layer) {
            return Err(format!("there are two layers `{layer}`: say with --prefix which is meant"));
        }
        let mut moments = Vec::new();
        for kind in ["running_mean", "running_var"] {
            let Some(at) = others.iter().position(|(other, _)| *other == format!("{layer}.{kind}")) else { continue };
            let (name, tensor) = others.swap_remove(at);
            let least = if kind == "running_var" { 0.0 } else { f32::MIN };
            if !tensor.values.iter().all(|value| value.is_finite() && *value >= least) {
                let numbers = if least == 0.0 { "negative, or not finite" } else { "not finite" };
                return Err(format!("`{prefix}{name}` has numbers that are {numbers}"));
            }
            if form != Form::Norm || tensor.shape != [outputs] {
                return Err(format!(
                    "`{prefix}{name}` is {:?}: of a batch normalisation of {outputs} channels it is [{outputs}]",
                    tensor.shape
                ));
            }
            moments.extend(tensor.values);
        }
        all.push(Linear { name: layer.to_owned(), inputs, outputs, form, weight, bias, running: moments });
    }
    match others.first() {
        Some((name, _)) if name.contains("running_") => Err(format!(
            "`{prefix}{name}` belongs to a batch normalisation without scale and shift: save it with affine=True"
        )),
        Some((name, _)) => Err(format!("`{prefix}{name}` belongs to no layer with a weight")),
        None if all.is_empty() => Err(format!("no tensor is called `{prefix}….weight`")),
        None => Ok(all),
    }
}

/// The parameters of a model that is given by a list of layers, by its maps: those of the encoder, its head, those of the
/// decoder, its head. Layers are found by the names that `elbo export` gives them, or else by their order.
///
/// # Errors
/// What does not fit, naming the layer.
pub fn fitted(maps: &[Map], network: &Network) -> Checked<Vec<(String, Tensor)>> {
    let (mut all, mut moments) = (Vec::new(), Vec::new());
    let heads: Vec<&Linear> = [&network.out].into_iter().chain(&network.out_log_variance).collect();
    for (side, layers, heads) in [
        ("encoder", &network.encoder, vec![&network.mean, &network.log_variance]),
        ("decoder", &network.decoder, heads),
    ] {
        let own = |map: &&Map| map.name.split('.').next() == Some(side);
        let (head, hidden): (Vec<&Map>, Vec<&Map>) =
            maps.iter().filter(own).partition(|map| map.name.split('.').next_back() == Some("head"));
        if hidden.len() != layers.len() {
            let (wanted, found) = (hidden.len(), layers.len());
            return Err(format!(
                "the recipe's {side} has {wanted} layers with parameters before its head, and the file {found}: {}",
                list(layers)
            ));
        }
        let named = hidden.iter().all(|map| layers.iter().any(|layer| layer.name == map.name));
        for (at, map) in hidden.into_iter().enumerate() {
            let by_name = layers.iter().find(|layer| named && layer.name == map.name);
            let layer = by_name.unwrap_or(&layers[at]);
            all.push((map.name.clone(), together(map, &[layer])?));
            moments.extend(running(map, layer)?);
        }
        for map in head {
            all.push((map.name.clone(), together(map, &heads)?));
        }
    }
    // In the model's order, which may have a head before what stands behind it.
    all.sort_by_key(|(name, _)| maps.iter().position(|map| map.name == *name));
    Ok([all, moments].concat())
}

/// The parameters of a model by its maps, from layers that have the names which `elbo export` gives them; there are no others.
///
/// # Errors
/// What does not fit, naming the layer.
pub fn by_name(config: &ModelConfig, maps: &[Map], layers: &[Linear]) -> Checked<Vec<(String, Tensor)>> {
    let (mut all, mut moments, mut used) = (Vec::new(), Vec::new(), Vec::new());
    for map in maps {
        let names = super::outside(config, &map.name);
        let mut heads = Vec::new();
        for name in &names {
            let found = layers.iter().find(|layer| layer.name == *name);
            heads.push(found.ok_or_else(|| format!("there is no layer `{name}`, which {} wants", map.name))?);
        }
        all.push((map.name.clone(), together(map, &heads)?));
        for head in heads {
            moments.extend(running(map, head)?);
        }
        used.extend(names);
    }
    match layers.iter().find(|layer| !used.contains(&layer.name)) {
        Some(layer) => Err(format!("the model has no layer `{}`, which the file has", layer.name)),
        None => Ok([all, moments].concat()),
    }
}

/// Puts layers in their places. `map` says of some of them where they belong: pairs of a place and a layer's name.
///
/// # Errors
/// [`Error::Usage`] for what is wrong with `map`, [`Error::Data`] where layers do not make a VAE, with advice.
pub fn network(mut layers: Vec<Linear>, map: &[(String, String)], file: &str) -> Result<Network> {
    layers.sort_by(|a, b| natural(&a.name).cmp(&natural(&b.name)));
    let advice = |why: String| Error::Data(format!("{file}: {why}; say what belongs where with --map PLACE=NAME"));
    let mut placed: Vec<(LayerRole, Linear)> = Vec::new();
    let mut map: Vec<_> = map.iter().collect();
    map.sort_by(|(a, _), (b, _)| natural(a).cmp(&natural(b)));
    for (typed, name) in map {
        let wrong = |why: String| Error::Usage(format!("--map {typed}={name}: {why}"));
        let place = typed_place(typed).ok_or_else(|| wrong(format!("the places are {PLACES}")))?;
        let at = layers.iter().position(|layer| layer.name == *name);
        let at = at.ok_or_else(|| wrong(format!("{file} has no such layer; it has {}", list(&layers))))?;
        placed.push((place, layers.remove(at)));
    }
    for layer in layers {
        let place = place(&layer.name).ok_or_else(|| advice(format!("nothing tells what `{}` is", layer.name)))?;
        placed.push((place, layer));
    }
    let mut take = |wanted: LayerRole| -> Vec<Linear> {
        let (found, rest) = std::mem::take(&mut placed).into_iter().partition(|(place, _)| *place == wanted);
        placed = rest;
        found.into_iter().map(|(_, layer)| layer).collect()
    };
    let (mut encoder, mut decoder) = (take(LayerRole::Encoder), take(LayerRole::Decoder));
    let (mean, log_variance) = match (single(take(LayerRole::Mean)), single(take(LayerRole::LogVariance))) {
        (Ok(Some(mean)), Ok(Some(log_variance))) => (mean, log_variance),
        (Ok(None), Ok(None)) => halves(encoder.pop()).map_err(advice)?,
        _ => return Err(advice("the encoder needs one head for the mean and one for the log-variance".into())),
    };
    let out = match single(take(LayerRole::Out)) {
        Ok(Some(out)) => out,
        Ok(None) => decoder.pop().ok_or_else(|| advice("there is no decoder".into()))?,
        Err(why) => return Err(advice(why)),
    };
    let out_log_variance = single(take(LayerRole::OutLogVariance)).map_err(advice)?;
    Ok(Network { encoder, mean, log_variance, decoder, out, out_log_variance })
}

/// Whether these are fully connected layers each of which takes what the one before it gives; where the decoder gives one number
/// for each value (`alike`), whether it gives as many as the encoder takes.
///
/// # Errors
/// [`Error::Data`] that names the first that does not, with advice.
pub fn check(network: &Network, alike: bool, file: &str) -> Result<()> {
    let Network { encoder, mean, log_variance, decoder, out, out_log_variance } = network;
    let mut all = encoder.iter().chain([mean, log_variance]).chain(decoder).chain([out]).chain(out_log_variance);
    if let Some(layer) = all.find(|layer| layer.form != Form::Dense) {
        return Err(Error::Data(format!(
            "{file}: `{}` has a weight {:?}, which is not that of a fully connected layer; --set model.norm=batch or layer says that \
             each hidden layer is normalised, a --recipe or --set that gives model.encoder_layers and model.decoder_layers what \
             other layers are",
            layer.name,
            layer.shape()
        )));
    }
    chained(network, alike)
        .map_err(|why| Error::Data(format!("{file}: {why}; say what belongs where with --map PLACE=NAME")))
}

/// Where `--map` puts a layer.
fn typed_place(typed: &str) -> Option<LayerRole> {
    let numbered = |network: &str| typed.strip_prefix(network).is_some_and(|rest| rest.parse::<u32>().is_ok());
    Some(match typed {
        "encoder.mean" => LayerRole::Mean,
        "encoder.log_variance" => LayerRole::LogVariance,
        "decoder.out" | "decoder.mean" | "decoder.logits" => LayerRole::Out,
        "decoder.log_variance" => LayerRole::OutLogVariance,
        _ if numbered("encoder.") => LayerRole::Encoder,
        _ if numbered("decoder.") => LayerRole::Decoder,
        _ => return None,
    })
}

/// What a layer's name says.
fn place(name: &str) -> Option<LayerRole> {
    let lower = name.to_ascii_lowercase();
    match lower.as_str() {
        "fc1" => return Some(LayerRole::Encoder),
        "fc21" => return Some(LayerRole::Mean),
        "fc22" => return Some(LayerRole::LogVariance),
        "fc3" => return Some(LayerRole::Decoder),
        "fc4" => return Some(LayerRole::Out),
        _ => {}
    }
    let parts: Vec<&str> = lower.split(['.', '_']).collect();
    let has = |words: &[&str]| parts.iter().any(|part| words.contains(part));
    let begins = |start: &str| parts.iter().any(|part| part.starts_with(start));
    let logarithm = has(&["logvar", "lv", "logvariance"]) || has(&["log"]) && has(&["var", "variance"]);
    let decoder = begins("dec");
    Some(match () {
        () if logarithm && decoder => LayerRole::OutLogVariance,
        () if logarithm => LayerRole::LogVariance,
        () if has(&["out", "output", "logits", "recon"]) && !begins("enc") => LayerRole::Out,
        () if has(&["mu", "mean", "loc"]) && decoder => LayerRole::Out,
        () if has(&["mu", "mean", "loc"]) => LayerRole::Mean,
        () if decoder => LayerRole::Decoder,
        () if begins("enc") => LayerRole::Encoder,
        () => return None,
    })
}

/// A name with its numbers as numbers, so that `10` comes after `9`.
fn natural(name: &str) -> Vec<(&str, u64)> {
    let (mut parts, mut rest) = (Vec::new(), name);
    while !rest.is_empty() {
        let (word, after) = rest.split_at(rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len()));
        let (number, after) = after.split_at(after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len()));
        parts.push((word, number.parse().unwrap_or(0)));
        rest = after;
    }
    parts
}

fn single(mut layers: Vec<Linear>) -> Checked<Option<Linear>> {
    match layers.len() {
        0 | 1 => Ok(layers.pop()),
        _ => Err(format!("{} seem to be the same", list(&layers))),
    }
}

/// Mean and log-variance out of one layer that gives both.
fn halves(last: Option<Linear>) -> Checked<(Linear, Linear)> {
    let last = last.ok_or("there is no encoder")?;
    if last.form != Form::Dense {
        return Err(format!("`{}`, the encoder's last layer, is none that gives mean and log-variance", last.name));
    }
    if !last.outputs.is_multiple_of(2) {
        let (name, outputs) = (last.name, last.outputs);
        return Err(format!("`{name}` seems to give mean and log-variance, and {outputs} is no even number"));
    }
    let half = last.outputs / 2;
    let (upper, lower) = last.weight.split_at(half * last.inputs);
    let map = |kind: &str, weight: &[f32], bias: &[f32]| Linear {
        name: format!("{}.{kind}", last.name),
        inputs: last.inputs,
        outputs: half,
        form: Form::Dense,
        weight: weight.to_vec(),
        bias: bias.to_vec(),
        running: vec![],
    };
    Ok((map("mean", upper, &last.bias[..half]), map("log_variance", lower, &last.bias[half..])))
}

/// Whether each layer takes what the one before it gives.
fn chained(network: &Network, alike: bool) -> Checked<()> {
    let Network { encoder, mean, log_variance, decoder, out, out_log_variance } = network;
    let chain = |layers: &[&Linear]| {
        let gap = layers.windows(2).find(|pair| pair[0].outputs != pair[1].inputs);
        gap.map_or(Ok(()), |pair| {
            Err(format!(
                "`{}` gives {} numbers and `{}`, which seems to come next, takes {}",
                pair[0].name, pair[0].outputs, pair[1].name, pair[1].inputs
            ))
        })
    };
    for head in [mean, log_variance] {
        chain(&encoder.iter().chain([head]).collect::<Vec<_>>())?;
    }
    for head in [Some(out), out_log_variance.as_ref()].into_iter().flatten() {
        chain(&[mean].into_iter().chain(decoder).chain([head]).collect::<Vec<_>>())?;
    }
    let first = network.first();
    let equal = |a: &Linear, b: &Linear, what: &str| {
        if a.outputs == b.outputs {
            return Ok(());
        }
        Err(format!("`{}` has {} {what} and `{}` {}", a.name, a.outputs, b.name, b.outputs))
    };
    equal(mean, log_variance, "outputs")?;
    out_log_variance.as_ref().map_or(Ok(()), |head| equal(out, head, "outputs"))?;
    if alike && out.outputs != first.inputs {
        let (taken, given) = (first.inputs, out.outputs);
        return Err(format!("`{}` takes {taken} numbers and `{}` gives {given}", first.name, out.name));
    }
    Ok(())
}

fn list(layers: &[Linear]) -> String {
    layers.iter().map(|layer| format!("`{}`", layer.name)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A layer by its name and extents.
    fn layer(name: &str, inputs: usize, outputs: usize) -> Linear {
        let (weight, bias) = (vec![0.0; inputs * outputs], vec![0.0; outputs]);
        Linear { name: name.into(), inputs, outputs, form: Form::Dense, weight, bias, running: vec![] }
    }

    /// Names of a network's layers, in the order of their use.
    fn names(network: &Network) -> Vec<String> {
        let Network { encoder, mean, log_variance, decoder, out, out_log_variance } = network;
        let all = encoder.iter().chain([mean, log_variance]).chain(decoder).chain([out]).chain(out_log_variance);
        all.map(|layer| layer.name.clone()).collect()
    }

    fn checked(layers: Vec<Linear>, map: &[(String, String)]) -> Result<Network> {
        let network = network(layers, map, "f")?;
        check(&network, true, "f").map(|()| network)
    }

    #[test]
    fn what_wrappers_put_into_names_is_taken_off() {
        for (name, prefix, expected) in [
            ("module.fc1.weight", "", Some("fc1.weight")),
            ("_orig_mod.module.encoder.0.weight", "", Some("encoder.0.weight")),
            ("encoder._orig_mod.0.weight", "", Some("encoder.0.weight")),
            ("module.vae.fc1.weight", "vae.", Some("fc1.weight")),
            ("vae.module.fc1.weight", "vae.", Some("fc1.weight")),
            ("modules.fc1.weight", "", Some("modules.fc1.weight")),
            ("other.fc1.weight", "vae.", None),
        ] {
            assert_eq!(within(name, prefix).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn layers_find_their_places_by_their_names() {
        let rows: &[&[(&str, usize, usize)]] = &[
            &[("fc1", 8, 4), ("fc21", 4, 2), ("fc22", 4, 2), ("fc3", 2, 4), ("fc4", 4, 8)],
            &[("enc", 8, 4), ("mu", 4, 2), ("lv", 4, 2), ("dec", 2, 4), ("out", 4, 8)],
            &[
                ("encoder.0", 8, 6),
                ("encoder.2", 6, 5),
                ("encoder.10", 5, 4),
                ("fc_mu", 4, 2),
                ("fc_log_var", 4, 2),
                ("decoder.0", 2, 4),
                ("decoder.2", 4, 8),
            ],
            &[("encoder.mean", 8, 2), ("encoder.log_variance", 8, 2), ("decoder.logits", 2, 8)],
            &[
                ("encoder.0", 8, 6),
                ("encoder.mean", 6, 2),
                ("encoder.log_variance", 6, 2),
                ("decoder.0", 2, 6),
                ("decoder.mean", 6, 8),
                ("decoder.log_variance", 6, 8),
            ],
        ];
        for row in rows {
            let mut layers: Vec<Linear> = row.iter().map(|&(name, i, o)| layer(name, i, o)).collect();
            // A file has them in no particular order.
            layers.reverse();
            let expected: Vec<&str> = row.iter().map(|(name, ..)| *name).collect();
            assert_eq!(names(&network(layers, &[], "f").unwrap()), expected);
        }
    }

    #[test]
    fn one_head_for_both_is_divided_and_a_map_overrules_names() {
        let joint = vec![layer("encoder.0", 8, 4), layer("encoder.1", 4, 6), layer("decoder.0", 3, 8)];
        let found = network(joint, &[], "f").unwrap();
        assert_eq!(names(&found), ["encoder.0", "encoder.1.mean", "encoder.1.log_variance", "decoder.0"]);
        assert_eq!((found.mean.outputs, found.mean.bias.len(), found.log_variance.weight.len()), (3, 3, 12));

        let odd = || vec![layer("a", 8, 4), layer("b", 4, 2), layer("c", 4, 2), layer("d", 2, 8)];
        let map = |pairs: &[(&str, &str)]| pairs.iter().map(|&(a, b)| (a.into(), b.into())).collect::<Vec<_>>();
        let whole = [("encoder.0", "a"), ("encoder.mean", "b"), ("encoder.log_variance", "c"), ("decoder.out", "d")];
        assert_eq!(names(&network(odd(), &map(&whole), "f").unwrap()), ["a", "b", "c", "d"]);
        for (pairs, code, why) in [
            (&whole[..3], 3, "nothing tells what `d` is"),
            (&[("encoder.0", "x")], 2, "f has no such layer; it has `a`, `b`, `c`, `d`"),
            (&[("encoder.first", "a")], 2, "the places are encoder.N"),
            (&[("encoder.0", "b"), ("encoder.mean", "a"), whole[2], whole[3]], 3, "`b` gives 2 numbers and `a`"),
        ] {
            let error = checked(odd(), &map(pairs)).unwrap_err();
            assert!(error.exit_code() == code && error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn layers_that_make_no_vae_are_named() {
        for (layers, why) in [
            (vec![layer("enc", 8, 4), layer("mu", 4, 2), layer("dec", 2, 8)], "one head for the mean and one"),
            (vec![layer("enc", 8, 3), layer("dec", 2, 8)], "3 is no even number"),
            (vec![layer("enc", 8, 4)], "there is no decoder"),
            (vec![layer("dec", 2, 8)], "there is no encoder"),
            (vec![layer("enc", 8, 4), layer("dec", 2, 7)], "`enc.mean` takes 8 numbers"),
            (vec![layer("mu", 8, 2), layer("lv", 8, 3), layer("dec", 2, 8)], "`mu` has 2 outputs and `lv` 3"),
            (vec![layer("mu", 8, 2), layer("mean", 8, 2), layer("lv", 8, 2), layer("dec", 2, 8)], "one head"),
        ] {
            let error = checked(layers, &[]).unwrap_err();
            assert!(error.exit_code() == 3 && error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn tensors_become_layers_or_are_refused_by_name() {
        let tensor = |name: &str, shape: &[usize]| {
            (name.to_owned(), Tensor { shape: shape.to_vec(), values: vec![0.5; shape.iter().product()] })
        };
        let good = vec![tensor("m.a.bias", &[2]), tensor("m.a.weight", &[2, 3]), tensor("other", &[1])];
        let found = layers(good, "m.").unwrap();
        assert_eq!((found.len(), &found[0].name[..], found[0].inputs, found[0].outputs), (1, "a", 3, 2));
        let bare = layers(vec![tensor("m.a.weight", &[2, 3]), tensor("m.n.weight", &[4])], "m.").unwrap();
        assert_eq!(bare.iter().map(|layer| layer.bias.len()).collect::<Vec<_>>(), [2, 4]);
        assert!(bare.iter().all(|layer| layer.bias.iter().all(|&bias| bias == 0.0)));
        let bare = layers(vec![tensor("m.a.weight", &[2, 3, 4, 4])], "m.").unwrap();
        assert_eq!((bare[0].shape(), bare[0].bias.len()), (vec![2, 3, 4, 4], 0), "which extent it has, the model says");
        // Of a batch normalisation how many batches PyTorch has seen is left out.
        let of_norm =
            ["weight", "bias", "running_mean", "running_var"].map(|kind| tensor(&format!("m.n.{kind}"), &[4]));
        let counted = [&of_norm[..], &[tensor("m.n.num_batches_tracked", &[1])]].concat();
        let found = layers(counted, "m.").unwrap();
        assert_eq!((found.len(), found[0].form, found[0].running.len()), (1, Form::Norm, 8));
        for (tensors, why) in [
            (vec![of_norm[0].clone(), tensor("m.n.running_mean", &[3])], "`m.n.running_mean` is [3]"),
            (vec![tensor("m.a.weight", &[2, 3, 3, 1]), tensor("m.a.bias", &[2])], "[2, 3, 3, 1]"),
            (vec![tensor("m.a.weight", &[2, 3]), tensor("m.a.bias", &[3])], "shapes [2, 3] and [3]"),
            (vec![tensor("m.a.weight", &[2, 3]), tensor("m.a.bias", &[2]), tensor("m.n.x", &[1])], "`m.n.x` belongs"),
            (vec![tensor("m.a.weight", &[2, 3, 3, 3]), tensor("m.a.bias", &[4])], "shapes [2, 3, 3, 3] and [4]"),
            (vec![tensor("m.n.running_mean", &[1])], "belongs to a batch normalisation"),
            (vec![tensor("a.weight", &[2, 3])], "no tensor is called `m.….weight`"),
            (
                vec![
                    ("m.a.weight".into(), Tensor { shape: vec![1, 1], values: vec![f32::NAN] }),
                    tensor("m.a.bias", &[1]),
                ],
                "not finite",
            ),
        ] {
            let found = layers(tensors, "m.").unwrap_err();
            assert!(found.contains(why), "{found}");
        }
    }
}
