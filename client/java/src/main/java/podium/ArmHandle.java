package podium;

import java.util.Optional;
import java.util.OptionalDouble;
import java.util.concurrent.CompletableFuture;
import podium.v1.DeleteArmRequest;
import podium.v1.EvalRequest;
import podium.v1.EvalResponse;
import podium.v1.EvalResult;
import podium.v1.GetArmRequest;
import podium.v1.GetArmResponse;
import podium.v1.ListEvalsRequest;
import podium.v1.ListEvalsResponse;
import podium.v1.RecordingServiceGrpc;
import podium.v1.ResultsServiceGrpc;
import podium.v1.ScoreRequest;
import podium.v1.ScoreResponse;

/**
 * A handle of an arm on a server: one training run of an experiment.
 *
 * <p>Every method throws a {@link PodiumException.NotFound} if the experiment or the arm does not
 * exist. If an eval or a score does not exist, the result is empty.
 */
public final class ArmHandle {
  private final Connection connection;
  private final String experiment;
  private final String name;

  ArmHandle(Connection connection, String experiment, String name) {
    this.connection = connection;
    this.experiment = experiment;
    this.name = name;
  }

  /** Returns the name of the experiment. */
  public String experiment() {
    return experiment;
  }

  /** Returns the name of the arm. */
  public String name() {
    return name;
  }

  /** Returns the post-training row of an eval, or else the in-loop row with the greatest step. */
  public Optional<EvalResult> eval(String evalName) {
    return eval(evalRequest(evalName).build());
  }

  /**
   * Returns the in-loop row of an eval at exactly a step. It never returns the post-training row
   * or the nearest one. A step can be 0 or negative.
   */
  public Optional<EvalResult> eval(String evalName, long step) {
    return eval(evalRequest(evalName).setStep(step).build());
  }

  private EvalRequest.Builder evalRequest(String evalName) {
    return EvalRequest.newBuilder().setExperiment(experiment).setArm(name).setName(evalName);
  }

  private Optional<EvalResult> eval(EvalRequest request) {
    return row(connection.call(ResultsServiceGrpc.getEvalMethod(), request));
  }

  /** Returns the future result of {@link #eval(String)}. No thread waits for it. */
  public CompletableFuture<Optional<EvalResult>> evalAsync(String evalName) {
    return evalAsync(evalRequest(evalName).build());
  }

  /** Returns the future result of {@link #eval(String, long)}. No thread waits for it. */
  public CompletableFuture<Optional<EvalResult>> evalAsync(String evalName, long step) {
    return evalAsync(evalRequest(evalName).setStep(step).build());
  }

  private CompletableFuture<Optional<EvalResult>> evalAsync(EvalRequest request) {
    var method = ResultsServiceGrpc.getEvalMethod();
    return connection.callAsync(method, request).thenApply(ArmHandle::row);
  }

  private static Optional<EvalResult> row(EvalResponse response) {
    return response.hasEvalResult() ? Optional.of(response.getEvalResult()) : Optional.empty();
  }

  /**
   * Returns the score on a metric: {@code pass_rate}, or {@code val.pass_rate}. NaN is a score.
   *
   * @throws PodiumException.InvalidArgument if the metric is empty
   */
  public OptionalDouble score(String metric) {
    return findScore(metric).map(Score::optional).orElse(OptionalDouble.empty());
  }

  /** Returns the score on a metric and its source. */
  public Optional<Score> findScore(String metric) {
    return score(connection.call(ResultsServiceGrpc.getScoreMethod(), scoreRequest(metric)));
  }

  /** Returns the future result of {@link #findScore}. No thread waits for it. */
  public CompletableFuture<Optional<Score>> findScoreAsync(String metric) {
    var method = ResultsServiceGrpc.getScoreMethod();
    return connection.callAsync(method, scoreRequest(metric)).thenApply(ArmHandle::score);
  }

  private ScoreRequest scoreRequest(String metric) {
    return ScoreRequest.newBuilder()
        .setExperiment(experiment)
        .setArm(name)
        .setMetric(metric)
        .build();
  }

  private static Optional<Score> score(ScoreResponse response) {
    return response.hasValue()
        ? Optional.of(new Score(response.getValue(), response.getSource()))
        : Optional.empty();
  }

  /**
   * Gets the whole arm as of one revision.
   *
   * @throws PodiumException.Aborted if the arm changed each time while it was read
   */
  public ArmSnapshot get() {
    return OneState.read("arm '%s' of '%s'".formatted(name, experiment), this::inOneState);
  }

  /** Returns the arm with its rows, or nothing if it changed between two pages. */
  private Optional<ArmSnapshot> inOneState() {
    var request = GetArmRequest.newBuilder().setExperiment(experiment).setArm(name).build();
    GetArmResponse first = connection.call(ResultsServiceGrpc.getGetArmMethod(), request);
    var arm = first.getArmResult().toBuilder();
    var token = first.getNextEvalsPageToken();
    var whole = ListEvalsRequest.newBuilder().setPageSize(OneState.LARGEST_PAGE).build();
    while (!token.isEmpty()) {
      var page = page(whole, token);
      if (page.getRevision() != arm.getRevision()) {
        return Optional.empty();
      }
      arm.addAllEvals(page.getEvalsList());
      token = page.getNextPageToken();
    }
    return Optional.of(ArmSnapshot.of(arm.build()));
  }

  /** Lists the rows in the order in which they were first accepted. */
  public Pages<EvalResult> evals() {
    return evals(ListEvalsRequest.getDefaultInstance());
  }

  /**
   * Lists the rows that match the filters of a request. The names of the experiment and the arm,
   * and the page token, are ignored in it.
   */
  public Pages<EvalResult> evals(ListEvalsRequest request) {
    return new Pages<>(
        token -> {
          var page = page(request, token);
          return new Pages.Page<>(page.getEvalsList(), page.getNextPageToken());
        });
  }

  private ListEvalsResponse page(ListEvalsRequest request, String token) {
    var asked = request.toBuilder().setExperiment(experiment).setArm(name).setPageToken(token);
    return connection.call(ResultsServiceGrpc.getListEvalsMethod(), asked.build());
  }

  /**
   * Deletes the arm with its rows.
   *
   * @param allowMissing whether the call succeeds if the arm does not exist
   * @return the revision of the experiment after that
   */
  public long delete(boolean allowMissing) {
    var request =
        DeleteArmRequest.newBuilder()
            .setExperiment(experiment)
            .setArm(name)
            .setAllowMissing(allowMissing)
            .build();
    return connection.call(RecordingServiceGrpc.getDeleteArmMethod(), request).getRevision();
  }

  @Override
  public String toString() {
    return "ArmHandle(" + experiment + ", " + name + ")";
  }
}
