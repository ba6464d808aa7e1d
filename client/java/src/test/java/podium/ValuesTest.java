package podium;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** Values are made of plain data, and read as such. */
class ValuesTest {
  /** What a value is made of comes back, and an integer stays an integer. */
  @Test
  void thereAndBack() {
    Map<String, Object> given = new HashMap<>();
    given.put("rank", 4);
    given.put("rate", 4.0);
    given.put("none", null);
    given.put("list", Arrays.asList(true, "x", null, Map.of("deep", List.of())));
    Map<String, Object> expected = new HashMap<>(given);
    expected.put("rank", 4L);
    assertEquals(expected, Values.plain(Values.of(given)));
  }

  /** What no value can hold is refused. */
  @Test
  void otherData() {
    for (Object bad : List.of(new Object(), Map.of(1, 1), List.of('c'))) {
      assertThrows(IllegalArgumentException.class, () -> Values.of(bad));
    }
  }
}
