package podium;

import java.util.List;
import java.util.Optional;
import podium.v1.ArmStarted;
import podium.v1.ArmSummary;
import podium.v1.DeleteExperimentRequest;
import podium.v1.Event;
import podium.v1.Experiment;
import podium.v1.ExperimentDeclared;
import podium.v1.GetExperimentRequest;
import podium.v1.ListArmsRequest;
import podium.v1.ListMetricsRequest;
import podium.v1.Metric;
import podium.v1.RankRequest;
import podium.v1.RankResponse;
import podium.v1.RecordRequest;
import podium.v1.RecordResponse;
import podium.v1.RecordingServiceGrpc;
import podium.v1.ResultsServiceGrpc;
import podium.v1.RunConfig;
import podium.v1.ScoreColumn;
import podium.v1.ScoresRequest;
import podium.v1.ScoresResponse;
import podium.v1.StreamPosition;
import podium.v1.WatchRequest;

/**
 * A handle of an experiment on a server: arms that answer one question.
 *
 * <p>Reads throw a {@link PodiumException.NotFound} if the experiment does not exist. The methods
 * ignore the experiment's name and the page token of a given request.
 */
public final class ExperimentHandle {
  private final Connection connection;
  private final String name;

  ExperimentHandle(Connection connection, String name) {
    this.connection = connection;
    this.name = name;
  }

  /** Returns the name of the experiment. */
  public String name() {
    return name;
  }

  /** Returns a handle of an arm. It makes no call, and the arm need not exist. */
  public ArmHandle arm(String arm) {
    return new ArmHandle(connection, name, arm);
  }

  /** Gets the experiment. */
  public Experiment get() {
    var request = GetExperimentRequest.newBuilder().setExperiment(name).build();
    return connection.call(ResultsServiceGrpc.getGetExperimentMethod(), request).getExperiment();
  }

  /** Lists the arms without their rows, in the order of their creation. */
  public Pages<ArmSummary> arms() {
    return arms(ListArmsRequest.getDefaultInstance());
  }

  /** Lists the arms that match the filters of a request. */
  public Pages<ArmSummary> arms(ListArmsRequest request) {
    var named = request.toBuilder().setExperiment(name).build();
    return new Pages<>(
        token -> {
          var asked = named.toBuilder().setPageToken(token).build();
          var page = connection.call(ResultsServiceGrpc.getListArmsMethod(), asked);
          return new Pages.Page<>(page.getArmsList(), page.getNextPageToken());
        });
  }

  /** Lists the metrics on which arms have scores, with the number of arms of each. */
  public Pages<Metric> metrics() {
    var named =
        ListMetricsRequest.newBuilder().setExperiment(name).setPageSize(OneState.LARGEST_PAGE);
    return new Pages<>(
        token -> {
          var asked = named.clone().setPageToken(token).build();
          var page = connection.call(ResultsServiceGrpc.getListMetricsMethod(), asked);
          return new Pages.Page<>(page.getMetricsList(), page.getNextPageToken());
        });
  }

  /**
   * Ranks the completed arms by the experiment's success metric, the best ones first: as {@link
   * #rank(RankRequest)} of an empty request.
   */
  public RankResponse rank() {
    return rank(RankRequest.getDefaultInstance());
  }

  /**
   * Ranks the arms or groups that a request selects, as of one revision. Its page size and page
   * token are ignored.
   *
   * @throws PodiumException.FailedPrecondition if there is no metric, neither in the request nor in
   *     the experiment (METRIC_MISSING)
   * @throws PodiumException.Aborted if the ranking changed each time while it was read
   */
  public RankResponse rank(RankRequest request) {
    return rank(request, Integer.MAX_VALUE);
  }

  /**
   * Ranks the arms, or the groups, as {@link #rank(RankRequest)}, and gets the first ones.
   *
   * @param top the number of arms or groups
   * @throws IllegalArgumentException if top is not positive
   */
  public RankResponse rank(RankRequest request, int top) {
    if (top < 1) {
      throw new IllegalArgumentException("top must be positive, not %d".formatted(top));
    }
    return OneState.read(
        "the ranking of experiment '%s'".formatted(name), () -> rankInOneState(request, top));
  }

  /**
   * Returns the first places of the ranking, or nothing if it changed between two pages. Events of
   * arms that are not in the ranking change only the revision of the experiment.
   */
  private Optional<RankResponse> rankInOneState(RankRequest request, int top) {
    var asked =
        request.toBuilder()
            .setExperiment(name)
            .setPageSize(Math.min(top, OneState.LARGEST_PAGE))
            .clearPageToken();
    var method = ResultsServiceGrpc.getRankMethod();
    var found = connection.call(method, asked.build()).toBuilder();
    while (!found.getNextPageToken().isEmpty()
        && found.getArmsCount() + found.getGroupsCount() < top) {
      var page =
          connection.call(method, asked.setPageToken(found.getNextPageToken()).build());
      if (page.getRankingRevision() != found.getRankingRevision()) {
        return Optional.empty();
      }
      found.addAllArms(page.getArmsList()).addAllGroups(page.getGroupsList());
      found.setNextPageToken(page.getNextPageToken());
    }
    return Optional.of(first(found, top));
  }

  /** Returns a ranking with its first places only. */
  private static RankResponse first(RankResponse.Builder ranking, int top) {
    var arms = ranking.getArmsList().stream().limit(top).toList();
    var groups = ranking.getGroupsList().stream().limit(top).toList();
    return ranking
        .clearArms()
        .addAllArms(arms)
        .clearGroups()
        .addAllGroups(groups)
        .clearNextPageToken()
        .build();
  }

  /**
   * Gets the scores of all arms on some metrics: as {@link #scores(ScoresRequest)} with these
   * metrics.
   */
  public ScoresResponse scores(String... metrics) {
    return scores(ScoresRequest.newBuilder().addAllMetrics(List.of(metrics)).build());
  }

  /**
   * Gets the scores of the arms that match the filters of a request: a column for each metric, in
   * the order in which the arms were created. All pages are joined.
   *
   * @return the scores; their revision is 0 if the experiment changed between two pages
   */
  public ScoresResponse scores(ScoresRequest request) {
    var asked =
        request.toBuilder()
            .setExperiment(name)
            .setPageSize(OneState.LARGEST_PAGE)
            .clearPageToken();
    var method = ResultsServiceGrpc.getScoresMethod();
    var found = connection.call(method, asked.build()).toBuilder();
    while (!found.getNextPageToken().isEmpty()) {
      var page = connection.call(method, asked.setPageToken(found.getNextPageToken()).build());
      add(found, page);
    }
    return found.build();
  }

  /** Appends the arms of a page. */
  private static void add(ScoresResponse.Builder found, ScoresResponse page) {
    found.addAllArms(page.getArmsList()).setNextPageToken(page.getNextPageToken());
    for (int index = 0; index < page.getColumnsCount(); index++) {
      ScoreColumn column = page.getColumns(index);
      found
          .getColumnsBuilder(index)
          .addAllValues(column.getValuesList())
          .addAllPresent(column.getPresentList());
    }
    if (page.getRevision() != found.getRevision()) {
      found.clearRevision();
    }
  }

  /** Watches the whole experiment: as {@link #watch(WatchRequest)} of an empty request. */
  public Watch watch() {
    return watch(WatchRequest.getDefaultInstance());
  }

  /**
   * Watches the experiment: its state, and then every change as it is committed.
   *
   * @param request filters, and the revision and epoch of a marker to continue after. The name of
   *     the experiment is ignored
   * @return the updates, for a {@code try} with resources. The first one makes the call
   */
  public Watch watch(WatchRequest request) {
    return new Watch(connection, request.toBuilder().setExperiment(name).build());
  }

  /** Creates the experiment if there is none. */
  public RecordResponse declare() {
    return record(Events.declared());
  }

  /**
   * Creates the experiment, or sets its unset fields. A field with another value keeps it and is
   * named in the response, unless {@code overwrite} is set. {@code clear_fields} names fields that
   * lose their value.
   */
  public RecordResponse declare(ExperimentDeclared declared) {
    return record(Events.declared(declared));
  }

  /** Starts an attempt at training an arm, which has the name of its configuration. */
  public ArmRun startArm(RunConfig config) {
    return startArm(config, ArmStarted.getDefaultInstance());
  }

  /**
   * Starts an attempt at training an arm. The arm is running from then on.
   *
   * @param options fields that differ from the defaults: the name of the configuration for the
   *     arm, and an attempt with a random id and the time in milliseconds as its order. With a
   * {@code
   *     resume_step} the attempt continues after it; with {@code restart} it starts a completed arm
   *     from the beginning
   * @throws PodiumException.NotFound if the experiment was not declared
   * @throws PodiumException.FailedPrecondition if there is a newer attempt (STALE_ATTEMPT), the arm
   *     has completed (ARM_FINISHED), or earlier attempts have another configuration
   *     (RUN_CONFIG_CHANGED)
   */
  public ArmRun startArm(RunConfig config, ArmStarted options) {
    var started = options.toBuilder().setRunConfig(config);
    if (started.getArm().isEmpty()) {
      started.setArm(config.getName());
    }
    var attempt = started.getAttemptBuilder();
    if (attempt.getId().isEmpty()) {
      attempt.setId(ArmRun.randomId());
    }
    if (!attempt.hasOrder()) {
      attempt.setOrder(System.currentTimeMillis());
    }
    return new ArmRun(this, started.build());
  }

  /**
   * Starts an attempt, as {@link #startArm(RunConfig, ArmStarted)}, and trains in a block.
   *
   * <p>If the block returns, the arm is completed. If it throws, the arm is failed with the
   * exception as its error, or cancelled if the thread was interrupted. After {@link ArmRun#finish}
   * the end of the block records nothing.
   *
   * @param <E> the exception of the block
   */
  public <E extends Exception> void runArm(
      RunConfig config, ArmStarted options, ArmRun.Training<E> block) throws E {
    startArm(config, options).train(block);
  }

  /** Records a whole arm, as {@link #recordArm(podium.v1.ArmResult, boolean)} without replacing. */
  public RecordResponse recordArm(podium.v1.ArmResult arm) {
    return recordArm(arm, false);
  }

  /**
   * Records a whole arm: the stored arm becomes equal to it.
   *
   * <p>An arm that is larger than one call allows is recorded in several calls: first the arm with
   * its first rows, then the other rows. Recording it again is safe.
   *
   * @param replace whether it also replaces an arm that has attempts
   * @return the response to the last call, with the number of all events that changed something
   */
  public RecordResponse recordArm(podium.v1.ArmResult arm, boolean replace) {
    int changed = 0;
    var response = RecordResponse.getDefaultInstance();
    for (List<Event> events : LargeArms.inCalls(arm, replace)) {
      response = record(events);
      changed += response.getChangedEvents();
    }
    return response.toBuilder().setChangedEvents(changed).build();
  }

  /**
   * Records events in order, all of them or none. They are on disk when the method returns.
   *
   * @throws PodiumException with every rejected event in its {@code refusals()}
   */
  public RecordResponse record(Event... events) {
    return record(List.of(events));
  }

  /** Records events, as {@link #record(Event...)}. */
  public RecordResponse record(List<Event> events) {
    return record(request(events).build());
  }

  /**
   * Records events at a position in a stream. Events that were applied before are skipped.
   *
   * @throws PodiumException.OutOfRange if events before the first one are missing (SEQUENCE_GAP)
   */
  public RecordResponse record(List<Event> events, StreamPosition position) {
    return record(request(events).setPosition(position).build());
  }

  private RecordRequest.Builder request(List<Event> events) {
    return RecordRequest.newBuilder().setExperiment(name).addAllEvents(events);
  }

  private RecordResponse record(RecordRequest request) {
    return connection.call(RecordingServiceGrpc.getRecordMethod(), request);
  }

  /**
   * Deletes the experiment with its arms.
   *
   * @param allowMissing whether the call succeeds if the experiment does not exist
   * @return the last revision of the experiment
   */
  public long delete(boolean allowMissing) {
    var request =
        DeleteExperimentRequest.newBuilder()
            .setExperiment(name)
            .setAllowMissing(allowMissing)
            .build();
    return connection.call(RecordingServiceGrpc.getDeleteExperimentMethod(), request).getRevision();
  }

  @Override
  public String toString() {
    return "ExperimentHandle(" + name + ")";
  }
}
