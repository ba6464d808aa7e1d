package podium;

import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Function;
import podium.v1.EvalResult;
import podium.v1.WatchRemoval;
import podium.v1.WatchResponse;

/** Merges the messages of an update into one. */
final class Updates {
  private Updates() {}

  /** Adds a message. Its removals also delete parts that an earlier message has added. */
  static void merge(WatchResponse.Builder update, WatchResponse response) {
    Set<WatchRemoval> gone = new HashSet<>(response.getRemovalsList());
    if (!gone.isEmpty()) {
      var arms = kept(update.getArmsList(), item -> isGone(gone, item.getArm().getName()));
      var series = kept(update.getSeriesList(), item -> isGone(gone, item.getArm()));
      var evals =
          kept(
              update.getEvalsList(),
              item ->
                  isGone(gone, item.getArm())
                      || gone.contains(removal(item.getArm(), item.getEvalResult())));
      update.clearArms().addAllArms(arms);
      update.clearSeries().addAllSeries(series);
      update.clearEvals().addAllEvals(evals);
    }
    if (response.hasExperiment()) {
      update.clearExperiment(); // a merge would keep the tags and metadata of an earlier declaration
    }
    update.mergeFrom(response);
  }

  private static <T> List<T> kept(List<T> items, Function<T, Boolean> isGone) {
    return items.stream().filter(item -> !isGone.apply(item)).toList();
  }

  private static boolean isGone(Set<WatchRemoval> gone, String arm) {
    return gone.contains(WatchRemoval.newBuilder().setArm(arm).build());
  }

  private static WatchRemoval removal(String arm, EvalResult row) {
    var removal = WatchRemoval.newBuilder().setArm(arm).setName(row.getName());
    if (row.hasStep()) {
      removal.setStep(row.getStep());
    }
    return removal.build();
  }
}
