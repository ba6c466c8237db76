// A training under way: the plan of a step, run again and again by whichever executor.

import { order } from "./order.js";
import { Plain } from "./plain.js";
import { laidOut, tensors } from "./safetensors.js";
import { scalarsOf, stepsOf } from "./schedule.js";
import { RUNS, WebGpu } from "./webgpu.js";

const PLAN = "train";
// What a buffer begins as, by its role: the tensors of the update rule's file whose names begin so.
const KEPT = { moment1: "moment1.", moment2: "moment2.", parameters: "trained." };

export class Training {
    /**
     * Opens the training of a page; gives null where no executor can run it.
     * @param get as of `Model.open`
     * @param about what the model is
     * @param {{webgpu: boolean}} options whether WebGPU runs it; otherwise JavaScript does, where it can
     */
    static async open(get, about, { webgpu }) {
        const told = await get.json("training.json");
        if (!webgpu && !told.plain) {
            return null;
        }
        const [file, examples] = await Promise.all([get.bytes("parameters.safetensors"), get.bytes("training.bin")]);
        const moments = told.moments ? tensors(await get.bytes("training.safetensors")) : new Map();
        const start = { average: laidOut(tensors(file), about) };
        for (const [role, prefix] of Object.entries(KEPT)) {
            start[role] = laidOut(moments, about, prefix);
        }
        if (told.kept === "parameters") {
            start.parameters = start.average;
        }
        const parameters = start.parameters.slice();
        const executor = webgpu
            ? await WebGpu.open((soft) => get.json(soft && told.software ? "training-software.json" : "training-webgpu.json"), parameters)
            : new Plain(await get.json("training-plain.json"), parameters);
        if (!executor) {
            return null;
        }
        const training = new Training(told, executor, start);
        executor.write(PLAN, "data", new Uint32Array(examples));
        executor.write(PLAN, "labels", Float32Array.from(told.labels ?? []));
        training.restart();
        return training;
    }

    constructor(told, executor, start) {
        Object.assign(this, { told, executor, start, each: stepsOf(told) });
    }

    /** Goes back to where the page began. */
    restart() {
        for (const [role, values] of Object.entries(this.start)) {
            this.executor.write(PLAN, role, values);
        }
        [this.step, this.ordered] = [this.told.step, -1];
        this.#forget();
    }

    #forget() {
        [this.sums, this.rows] = [this.told.terms.map(() => 0), 0];
    }

    /** Epochs that are done. */
    get epoch() {
        return Math.floor(this.step / this.each);
    }

    /** Means of the terms over the examples of the epoch so far. */
    get means() {
        return this.sums.map((sum) => sum / this.rows);
    }

    // Puts the terms of a step together from those of its parts, which are means over their examples.
    #terms(step, metrics) {
        const { told: { parts, terms }, each } = this;
        const all = terms.map(() => 0);
        let rows = 0;
        for (let part = 0; part < parts; part += 1) {
            const from = (step % each * parts + part) * terms.length;
            const counted = scalarsOf(this.told, step, part).rows;
            terms.forEach((_, at) => {
                all[at] += metrics[from + at] * counted;
            });
            rows += counted;
        }
        return { step, rows, terms: all.map((sum) => sum / rows) };
    }

    /**
     * Takes up to so many steps, not beyond the end of the epoch, and gives what each came to: its number, examples and
     * terms. Throws where a loss is not finite.
     */
    async steps(count) {
        const { told, each } = this;
        if (this.ordered !== this.epoch) {
            this.executor.write(PLAN, "order", order(told.examples, told, this.epoch));
            this.ordered = this.epoch;
        }
        if (this.step % each === 0) {
            this.#forget();
        }
        const most = Math.max(1, Math.floor(RUNS / told.parts));
        const end = Math.min(this.step + Math.min(count, most), (this.epoch + 1) * each);
        const steps = Array.from({ length: end - this.step }, (_, at) => this.step + at);
        const runs = steps.flatMap((step) => Array.from({ length: told.parts }, (_, part) => scalarsOf(told, step, part)));
        const [metrics] = await this.executor.run(PLAN, {}, runs, ["metrics"]);
        this.step = end;
        return steps.map((step) => this.#add(this.#terms(step, metrics)));
    }

    #add(done) {
        const finite = done.terms.every(Number.isFinite);
        if (!finite && !this.told.skip) {
            throw new Error(`the loss is not finite at step ${done.step}: a smaller learning rate may help`);
        }
        if (finite) {
            done.terms.forEach((term, at) => {
                this.sums[at] += term * done.rows;
            });
            this.rows += done.rows;
        }
        return done;
    }

    /** What the model is now: the parameters, or where it is kept their average. */
    async parameters() {
        const [values] = await this.executor.run(PLAN, {}, [], [this.told.kept]);
        return values;
    }
}
