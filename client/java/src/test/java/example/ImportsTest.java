package example;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;
import podium.*;
import podium.v1.*;

/** A program may import both packages as a whole: no name is in both. */
class ImportsTest {
  /** Each name means one class. */
  @Test
  void bothPackages() {
    var row = EvalResult.newBuilder().setName("test").putMetrics("acc", 0.5);
    ArmSnapshot arm = ArmSnapshot.of(ArmResult.newBuilder().setName("a").addEvals(row).build());
    assertEquals(0.5, arm.score("test.acc").getAsDouble());
  }
}
