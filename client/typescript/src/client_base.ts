import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";

import { ArmHandle } from "./arm_handle.js";
import type { CallOptions, Connection } from "./connection.js";
import { ExperimentHandle } from "./experiment_handle.js";
import { pages } from "./pages.js";
import { AccessService } from "./podium/v1/access_service_pb.js";
import type { Experiment, ExperimentStatus } from "./podium/v1/experiment_pb.js";
import { ResultsService } from "./podium/v1/results_service_pb.js";
import type { Server } from "./podium/v1/server_pb.js";
import type { Token } from "./podium/v1/token_pb.js";

/** Filters of a list of experiments. By default it has all experiments. */
export interface ExperimentFilter {
  /** Only experiments whose name begins with this text. */
  readonly namePrefix?: string;
  /** Only experiments with one of these statuses. */
  readonly statuses?: ExperimentStatus[];
  /** Only experiments that have all of these tags. */
  readonly tags?: string[];
}

/** The calls of a client, over any connection. */
export abstract class ClientBase {
  readonly #connection: Connection;

  /** @internal */
  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Returns a handle of an arm. Makes no call. */
  arm(experiment: string, name: string): ArmHandle {
    return new ArmHandle(this.#connection, experiment, name);
  }

  /** Returns a handle of an experiment. Makes no call. */
  experiment(name: string): ExperimentHandle {
    return new ExperimentHandle(this.#connection, name);
  }

  /** Lists the experiments, sorted by the bytes of their names. Fetches page by page. */
  experiments(filter: ExperimentFilter = {}, options?: CallOptions): AsyncGenerator<Experiment> {
    return pages(async (pageToken) => {
      const request = { ...filter, pageToken };
      const page = await this.call(ResultsService.method.listExperiments, request, options);
      return { items: page.experiments, nextPageToken: page.nextPageToken };
    });
  }

  /** Returns the version and the limits of the server, and the id of its store. */
  async server(options?: CallOptions): Promise<Server> {
    return (await this.call(ResultsService.method.getServer, {}, options)).server!;
  }

  /** Returns the token of this client, or undefined if the server requires no tokens. */
  async whoami(options?: CallOptions): Promise<Token | undefined> {
    return (await this.call(AccessService.method.whoAmI, {}, options)).token;
  }

  /**
   * Makes any call of any service, with the deadlines, retries and errors of the other methods:
   * `client.call(ResultsService.method.getExperiment, { experiment: "rank_sweep" })`.
   *
   * @throws PodiumError
   */
  call<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    options?: CallOptions,
  ): Promise<MessageShape<O>> {
    return this.#connection.call(method, request, options);
  }

  /** Closes the connection, and cancels running calls. */
  close(): void {
    this.#connection.close();
  }

  /** Closes the connection, like `close`. */
  [Symbol.dispose](): void {
    this.close();
  }
}
