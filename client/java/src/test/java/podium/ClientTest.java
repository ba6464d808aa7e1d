package podium;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.grpc.Status;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import podium.v1.ArmStatus;
import podium.v1.ArmSummary;
import podium.v1.EvalResult;
import podium.v1.Event;
import podium.v1.Experiment;
import podium.v1.ExperimentDeclared;
import podium.v1.ListArmsRequest;
import podium.v1.ListEvalsRequest;
import podium.v1.ListExperimentsRequest;
import podium.v1.RankRequest;
import podium.v1.RankResponse;
import podium.v1.RankedArm;
import podium.v1.RankedGroup;
import podium.v1.RunConfig;
import podium.v1.StreamPosition;

/** The client records on a real server and asks it. */
class ClientTest {
  private static final Client CLIENT = TestServer.client();

  private ExperimentHandle experiment;

  @BeforeEach
  void declare() {
    experiment = CLIENT.experiment(TestServer.newExperiment());
    experiment.record(
        Events.declared(ExperimentDeclared.newBuilder().setSuccessMetric("test.acc").build()));
  }

  @AfterAll
  static void close() {
    CLIENT.close();
  }

  private static podium.v1.ArmResult.Builder arm(String name, ArmStatus status) {
    return podium.v1.ArmResult.newBuilder()
        .setName(name)
        .setRunConfig(RunConfig.newBuilder().setName(name))
        .setStatus(status);
  }

  private static podium.v1.ArmResult completed(String name, double accuracy) {
    return arm(name, ArmStatus.ARM_STATUS_COMPLETED).addEvals(row("test", accuracy)).build();
  }

  private static EvalResult.Builder row(String name, double accuracy) {
    return EvalResult.newBuilder().setName(name).putMetrics("acc", accuracy);
  }

  /** What was recorded is answered; what was not is an empty answer. */
  @Test
  void recordsAndAsks() {
    experiment.record(
        Events.recorded(arm("a", ArmStatus.ARM_STATUS_RUNNING).build()),
        Events.metrics("a", Map.of("loss", Double.NaN)),
        Events.eval("a", row("val", 0.1).setStep(0).build()),
        Events.eval("a", row("val", 0.2).setStep(Long.MIN_VALUE).build()),
        Events.eval("a", row("val", 0.3).setStep(Long.MAX_VALUE).build()),
        Events.eval("a", row("test", -0.0).build()),
        Events.finished("a", ArmStatus.ARM_STATUS_COMPLETED));
    ArmHandle arm = experiment.arm("a");
    assertEquals(Long.MAX_VALUE, arm.eval("val").orElseThrow().getStep());
    assertEquals(0.1, arm.eval("val", 0).orElseThrow().getMetricsOrThrow("acc"));
    assertEquals(Long.MIN_VALUE, arm.eval("val", Long.MIN_VALUE).orElseThrow().getStep());
    assertEquals(Optional.empty(), arm.eval("val", 1));
    assertEquals(Optional.empty(), arm.eval("other"));
    assertEquals(OptionalDouble.of(-0.0), arm.score("acc"));
    assertEquals(OptionalDouble.of(Double.NaN), arm.score("loss"));
    assertEquals(OptionalDouble.empty(), arm.score("val.loss"));
    assertEquals("val", arm.findScore("val.acc").orElseThrow().source().getEvalName());
    assertEquals(ArmStatus.ARM_STATUS_COMPLETED, arm.get().status());
  }

  /** An arm that is not there is an error with its reason and particulars. */
  @Test
  void whatDoesNotExist() {
    ArmHandle arm = experiment.arm("nobody");
    var error = assertThrows(PodiumException.NotFound.class, () -> arm.eval("val"));
    assertEquals(Status.Code.NOT_FOUND, error.code());
    assertEquals("ARM_NOT_FOUND", error.reason());
    assertEquals(Map.of("experiment", experiment.name(), "arm", "nobody"), error.metadata());
    assertEquals(List.of(), error.refusals());
    assertThrows(PodiumException.NotFound.class, () -> CLIENT.experiment("no such").get());
  }

  /** A call that is refused names every event that was, and changes nothing. */
  @Test
  void refusals() {
    var error =
        assertThrows(
            PodiumException.class,
            () ->
                experiment.record(
                    Events.concluded("never stored"),
                    Events.metrics("nobody", Map.of("loss", 1.0)),
                    Events.eval("nobody", row("", 1).build())));
    assertEquals(List.of(1, 2), error.refusals().stream().map(RefusedEvent::index).toList());
    assertEquals("ARM_NOT_FOUND", error.refusals().get(0).reason());
    assertEquals(false, error.refusals().get(0).permanent());
    assertEquals("NAME_INVALID", error.refusals().get(1).reason());
    assertEquals(true, error.refusals().get(1).permanent());
    assertEquals(false, experiment.get().hasConclusion());
  }

  /** An arm with more rows than a response holds is got whole, in order. */
  @Test
  void manyRows() {
    experiment.record(Events.recorded(arm("a", ArmStatus.ARM_STATUS_RUNNING).build()));
    List<Event> events = new ArrayList<>();
    String breakdown = "x".repeat(2_000);
    LongStream.range(0, 900)
        .mapToObj(step -> row("val", step).setStep(step))
        .map(row -> row.putBreakdowns("x", Values.of(breakdown)).build())
        .forEach(row -> events.add(Events.eval("a", row)));
    experiment.record(events);
    experiment.record(events.stream().map(ClientTest::later).toList());
    var steps = experiment.arm("a").get().evals().stream().map(EvalResult::getStep);
    assertEquals(LongStream.range(0, 1_800).boxed().toList(), steps.toList());
    assertEquals(1_800, experiment.arm("a").evals().stream().count());
    var some = ListEvalsRequest.newBuilder().setMinStep(10).setMaxStep(12).setPageSize(2).build();
    var listed = experiment.arm("a").evals(some).stream().map(EvalResult::getStep);
    assertEquals(List.of(10L, 11L, 12L), listed.toList());
  }

  private static Event later(Event event) {
    var later = event.toBuilder();
    var row = later.getEvalRecordedBuilder().getEvalResultBuilder();
    row.setStep(row.getStep() + 900);
    return later.build();
  }

  /** Lists go on from page to page, and can be gone through again. */
  @Test
  void lists() {
    List<String> names = IntStream.range(0, 5).mapToObj(number -> "arm" + number).toList();
    experiment.record(names.stream().map(name -> Events.recorded(completed(name, 1))).toList());
    var request = ListArmsRequest.newBuilder().setPageSize(2).build();
    var arms = experiment.arms(request);
    assertEquals(names, arms.stream().map(ArmSummary::getName).toList());
    assertEquals(names, arms.stream().map(ArmSummary::getName).toList());
    assertEquals(names, experiment.arms().stream().map(ArmSummary::getName).toList());
    var prefix = ListExperimentsRequest.newBuilder().setNamePrefix(experiment.name()).build();
    assertEquals(
        List.of(experiment.name()),
        CLIENT.experiments(prefix).stream().map(Experiment::getName).toList());
    assertEquals(true, CLIENT.experiments().iterator().hasNext());
  }

  /** The best arm comes first; the page says what became of the others. */
  @Test
  void ranks() {
    experiment.record(
        Events.recorded(completed("worse", 0.1)),
        Events.recorded(completed("better", 0.9)),
        Events.recorded(completed("nan", Double.NaN)),
        Events.recorded(arm("running", ArmStatus.ARM_STATUS_RUNNING).build()));
    assertEquals(
        List.of("better", "worse", "nan"),
        experiment.rank().getArmsList().stream().map(RankedArm::getArm).toList());
    var counts = experiment.rank().getCounts();
    assertEquals(2, counts.getNumbers());
    assertEquals(1, counts.getNans());
    assertEquals(1, counts.getLeftOut().getRunning());
    var best = experiment.rank(RankRequest.getDefaultInstance(), 1);
    assertEquals(List.of("better"), best.getArmsList().stream().map(RankedArm::getArm).toList());
  }

  /** Groups are ranked by the means of their members. */
  @Test
  void ranksGroups() {
    experiment.record(
        Events.recorded(completed("a0", 0.2).toBuilder().setGroupName("a").build()),
        Events.recorded(completed("a1", 0.4).toBuilder().setGroupName("a").build()),
        Events.recorded(completed("b0", 0.5).toBuilder().setGroupName("b").build()));
    var groups = RankRequest.newBuilder().setByGroup(true);
    assertEquals(List.of("b", "a"), groupNames(experiment.rank(groups.build())));
    assertEquals(List.of("b"), groupNames(experiment.rank(groups.build(), 1)));
    assertEquals(List.of("a"), groupNames(experiment.rank(groups.setMinMembers(2).build())));
  }

  private static List<String> groupNames(RankResponse ranking) {
    return ranking.getGroupsList().stream().map(RankedGroup::getGroupName).toList();
  }

  /** A call with a position is applied once; a gap before it is refused. */
  @Test
  void positions() {
    var events = List.of(Events.concluded("first"), Events.concluded("second"));
    var position = StreamPosition.newBuilder().setWriterId("w").setFirstSequence(1).build();
    assertEquals(2, experiment.record(events, position).getChangedEvents());
    assertEquals(2, experiment.record(events, position).getSkippedEvents());
    var gap = position.toBuilder().setFirstSequence(4).build();
    var error =
        assertThrows(PodiumException.OutOfRange.class, () -> experiment.record(events, gap));
    assertEquals("SEQUENCE_GAP", error.reason());
    assertEquals(Map.of("expected_sequence", "3"), error.metadata());
  }

  /** What was deleted is gone; deleting it again is an error unless it may be missing. */
  @Test
  void deletes() {
    experiment.record(Events.recorded(completed("a", 1)));
    ArmHandle arm = experiment.arm("a");
    assertEquals(3, arm.delete(false));
    assertThrows(PodiumException.NotFound.class, () -> arm.delete(false));
    assertEquals(3, arm.delete(true));
    assertEquals(4, experiment.delete(false));
    assertThrows(PodiumException.NotFound.class, () -> experiment.delete(false));
  }

  /** Text that protobuf would spoil is refused before anything is sent. */
  @Test
  void halfASurrogatePair() {
    var error =
        assertThrows(
            IllegalArgumentException.class,
            () -> experiment.record(Events.metrics("a", Map.of("\ud83c", 1.0))));
    assertEquals("key has half of a surrogate pair: give well-formed text", error.getMessage());
  }

  /** A whole arm reads back as it was given. */
  @Test
  void wholeArms() {
    var given =
        arm("ünïcode 🏆", ArmStatus.ARM_STATUS_FAILED)
            .setError("")
            .setTrainSeconds(0)
            .putMetrics("pass^3", -0.0)
            .addEvals(row("bench@openai/gpt-4.1", 0.5).setModelRef("openai/gpt-4.1"))
            .build();
    experiment.record(Events.recorded(given));
    assertEquals(given, bare(experiment.arm("ünïcode 🏆").get().message()));
  }

  /** An arm without what only the server sets. */
  private static podium.v1.ArmResult bare(podium.v1.ArmResult arm) {
    var bare =
        arm.toBuilder()
            .clearExperiment()
            .clearRevision()
            .clearCreateTime()
            .clearUpdateTime()
            .clearLastHeard()
            .clearAttempt();
    bare.getEvalsBuilderList()
        .forEach(row -> row.clearRevision().clearEventTime().clearRecordTime());
    return bare.build();
  }
}
