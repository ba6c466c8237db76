// A model: what it can be asked, by whichever executor.

import { Plain } from "./plain.js";
import { laidOut, tensors } from "./safetensors.js";
import { WebGpu } from "./webgpu.js";

// The counter word of noise that belongs to no training step.
const NO_STEP = 0xffffffff;
// What a device may be off by where it is checked, of numbers about 1.
const TOLERANCE = 1e-3;

/** Mean and log-variance of q(z|x), and the latent that stands for the example, [Z] each. */
function posterior(about, stats, location) {
    const [low, high] = about.log_variance;
    const mean = stats.slice(0, about.latent);
    const logVariance = stats.slice(about.latent, 2 * about.latent).map((lv) => Math.min(Math.max(lv, low), high));
    return { mean, deviation: logVariance.map((lv) => Math.exp(0.5 * lv)), z: location ? location.slice(0, about.latent) : mean };
}

export class Model {
    /**
     * Opens a model by its files; `get` gives one by its name, as JSON or as bytes.
     * @param {{json: (name: string) => Promise<any>, bytes: (name: string) => Promise<ArrayBuffer>}} get
     * @param {{webgpu: boolean}} options whether WebGPU is tried first
     */
    static async open(get, { webgpu }) {
        const [about, file] = await Promise.all([get.json("model.json"), get.bytes("parameters.safetensors")]);
        const parameters = laidOut(tensors(file), about);
        const model = new Model(about);
        model.parameters = parameters;
        model.plain = async () => new Plain(await get.json("plain.json"), parameters);
        if (webgpu) {
            try {
                model.executor = await WebGpu.open(await get.json("webgpu.json"), parameters);
                model.why = model.executor ? "" : "this browser has no WebGPU, or no adapter for it";
                await model.#check();
            } catch (error) {
                model.executor = null;
                model.why = `WebGPU was given up: ${error.message}`;
            }
        }
        if (!model.executor) {
            model.executor = await model.plain();
            await model.#check();
        }
        return model;
    }

    constructor(about) {
        this.about = about;
        this.executor = null;
        this.why = "";
        // Called where another executor takes over.
        this.changed = () => {};
        // One run at a time: they share buffers.
        this.last = Promise.resolve();
    }

    /** Compares a decoded latent with what elbo made of it. */
    async #check() {
        if (!this.executor) {
            return;
        }
        const { z, mean } = this.about.check;
        const found = await this.decode([Float32Array.from(z)]);
        const wrong = mean.findIndex((value, at) => !(Math.abs(value - found[0][at]) <= TOLERANCE * Math.max(1, Math.abs(value))));
        if (wrong >= 0) {
            throw new Error(`${this.executor.name} computes ${found[0][wrong]} where elbo has ${mean[wrong]}`);
        }
    }

    #run(name, inputs, { seed, stream, rows }, outputs) {
        const scalars = {
            step: NO_STEP,
            rows,
            first: 0,
            slot: 0,
            key: [seed % 2 ** 32 >>> 0, Math.floor(seed / 2 ** 32) >>> 0],
            sample: 0,
            stream: this.about.streams[stream],
            row_weight: 1 / rows,
            weights: this.about.weights,
        };
        const roles = outputs.map((output) => `out:${output}`);
        const run = () => this.executor.run(name, inputs, [scalars], roles);
        // A device may be lost at any time.
        const again = async (error) => {
            if (this.executor instanceof Plain) {
                throw error;
            }
            [this.executor, this.why] = [await this.plain(), `WebGPU was lost: ${error.message}`];
            this.changed();
            return run();
        };
        const result = this.last.catch(() => {}).then(run).catch(again);
        this.last = result;
        return result;
    }

    /** Takes other parameters, as they lie in plans. */
    take(parameters) {
        this.parameters.set(parameters);
        this.executor.take(this.parameters);
    }

    // Rows of a mean, without what stands behind it.
    #means(values, rows) {
        const { width, mean_width: wide } = this.about;
        return Array.from({ length: rows }, (_, row) => values.subarray(row * wide, row * wide + width));
    }

    /** Draws from the prior with a seed, as those of `elbo sample`; `classes` are taken in turn. */
    async sample(seed, classes = this.about.classes.map((_, at) => at)) {
        const rows = this.about.sizes.samples;
        const order = Uint32Array.from({ length: rows }, (_, at) => at);
        const told = Array.from(order, (at) => (classes.length > 0 ? classes[at % classes.length] : 0));
        const inputs = { order, "in:class": Float32Array.from(told) };
        const [means, z] = await this.#run("sample", inputs, { seed, stream: "prior", rows }, ["mean", "z"]);
        const latent = this.about.latent;
        return this.#means(means, rows).map((mean, at) => ({ mean, z: z.slice(at * latent, (at + 1) * latent), class: told[at] }));
    }

    /** The means of p(x|z) for latents, all of one class. */
    async decode(latents, label = 0) {
        const found = [];
        const { latent, sizes } = this.about;
        for (let begin = 0; begin < latents.length;) {
            const [name, batch] = latents.length - begin === 1 ? ["decode", 1] : ["strip", sizes.strip];
            const part = latents.slice(begin, begin + batch);
            const z = new Float32Array(batch * latent);
            part.forEach((values, at) => z.set(values, at * latent));
            const inputs = { "in:z": z, "in:class": new Float32Array(batch).fill(label) };
            const [means] = await this.#run(name, inputs, { seed: 0, stream: "evaluate", rows: batch }, ["mean"]);
            found.push(...this.#means(means, part.length));
            begin += batch;
        }
        return found;
    }

    /** What the encoder says of an example in the units of the model, [D]. */
    async encode(x, label = 0, seed = this.about.seed) {
        const inputs = { data: x, order: new Uint32Array(1), labels: Float32Array.of(label) };
        const outputs = this.about.gaussian ? ["stats"] : ["stats", "location"];
        const [stats, location] = await this.#run("encode", inputs, { seed, stream: "evaluate", rows: 1 }, outputs);
        return posterior(this.about, stats, location);
    }

    /** Distortion and rate of an example in nats, each a mean over draws from its posterior. */
    async evaluate(x, label = 0, seed = this.about.seed) {
        const rows = this.about.sizes.draws;
        const data = new Float32Array(rows * x.length);
        for (let row = 0; row < rows; row += 1) {
            data.set(x, row * x.length);
        }
        const order = Uint32Array.from({ length: rows }, (_, at) => at);
        const inputs = { data, order, labels: new Float32Array(rows).fill(label) };
        const asked = { seed, stream: "evaluate", rows };
        const found = await this.#run("evaluate", inputs, asked, ["distortion", "rate"]);
        const [distortion, rate] = found.map((values) => values.reduce((sum, value) => sum + value, 0) / rows);
        return { distortion, rate };
    }
}
