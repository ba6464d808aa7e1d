package podium;

import java.util.ArrayList;
import java.util.List;
import podium.v1.ArmRecorded;
import podium.v1.ArmResult;
import podium.v1.EvalResult;
import podium.v1.Event;

/** Splits an arm that is larger than one call allows. */
final class LargeArms {
  // The default limits of a call. 128 KiB are left for the names around the events.
  private static final int CALL_EVENTS = 1_000;
  private static final int CALL_METRICS = 10_000;
  private static final int CALL_BYTES = (4 << 20) - (128 << 10);

  /** The bytes of a field's number and length. */
  private static final int FRAME_BYTES = 6;

  private LargeArms() {}

  /** The amounts in a call that have limits. */
  private record Load(int events, int metrics, int bytes) {
    Load plus(Load other) {
      return new Load(events + other.events, metrics + other.metrics, bytes + other.bytes);
    }

    boolean fits() {
      return events <= CALL_EVENTS && metrics <= CALL_METRICS && bytes <= CALL_BYTES;
    }

    /** Returns the load of a row in an arm. A row without metrics counts as a row with one. */
    static Load of(EvalResult row) {
      int metrics = Math.max(1, row.getMetricsCount());
      return new Load(0, metrics, row.getSerializedSize() + FRAME_BYTES);
    }

    static Load of(Event event, int metrics) {
      return new Load(1, metrics, event.getSerializedSize() + FRAME_BYTES);
    }
  }

  /** Returns the events of each call: the arm with its first rows, then the other rows. */
  static List<List<Event>> inCalls(ArmResult arm, boolean replace) {
    var recorded = ArmRecorded.newBuilder().setArmResult(arm).setReplace(replace);
    Event whole = Events.now(event -> event.setArmRecorded(recorded));
    List<EvalResult> rows = Scoring.distinct(arm.getEvalsList());
    Event.Builder head = whole.toBuilder();
    var first = head.getArmRecordedBuilder().getArmResultBuilder().clearEvals();
    clearMirrors(first, Scoring.primary(rows).orElse(EvalResult.getDefaultInstance()));
    int metrics =
        arm.getMetricsCount()
            + first.getEvalMetricsCount()
            + arm.getRunResult().getMetricsCount();
    var load = Load.of(head.build(), metrics);
    int count = 0;
    while (count < rows.size() && (load = load.plus(Load.of(rows.get(count)))).fits()) {
      count++;
    }
    if (count == rows.size()) {
      return List.of(List.of(whole));
    }
    first.addAllEvals(rows.subList(0, count));
    var calls = rowsInCalls(whole, rows.subList(count, rows.size()));
    calls.add(0, List.of(head.build()));
    return calls;
  }

  /**
   * Clears the eval fields of an arm that repeat its primary eval. The first call may not contain
   * the row of that eval, and the server rejects fields without it.
   */
  private static void clearMirrors(ArmResult.Builder arm, EvalResult primary) {
    boolean isMirror =
        arm.getEvalMetricsMap().equals(primary.getMetricsMap())
            && arm.getEvalBreakdownsMap().equals(primary.getBreakdownsMap())
            && (!arm.hasEvalSeconds() || arm.getEvalSeconds() == primary.getEvalSeconds());
    if (isMirror) {
      arm.clearEvalMetrics().clearEvalBreakdowns().clearEvalSeconds();
    }
  }

  /** Returns an event for each row of an arm, in calls. */
  private static List<List<Event>> rowsInCalls(Event whole, List<EvalResult> rows) {
    List<List<Event>> calls = new ArrayList<>();
    var load = new Load(CALL_EVENTS, 0, 0);
    for (EvalResult row : rows) {
      Event.Builder event = Events.eval(whole.getArmRecorded().getArmResult().getName(), row).toBuilder();
      event.setEventTime(row.hasEventTime() ? row.getEventTime() : whole.getEventTime());
      var own = Load.of(event.build(), row.getMetricsCount());
      load = load.plus(own);
      if (!load.fits()) {
        calls.add(new ArrayList<>());
        load = own;
      }
      calls.get(calls.size() - 1).add(event.build());
    }
    return calls;
  }
}
