package podium;

import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.Message;
import java.util.List;
import java.util.Map;

/** Rejects text that is not valid Unicode: protobuf would replace parts of it by question marks. */
final class Texts {
  private Texts() {}

  /**
   * Checks every text of a message.
   *
   * @throws IllegalArgumentException if a text has half of a surrogate pair
   */
  static void check(Message message) {
    for (Map.Entry<FieldDescriptor, Object> entry : message.getAllFields().entrySet()) {
      if (entry.getValue() instanceof List<?> values) {
        values.forEach(value -> check(entry.getKey(), value));
      } else {
        check(entry.getKey(), entry.getValue());
      }
    }
  }

  private static void check(FieldDescriptor field, Object value) {
    if (value instanceof Message message) {
      check(message);
    } else if (value instanceof String text && !isWhole(text)) {
      throw new IllegalArgumentException(
          field.getName() + " has half of a surrogate pair: give well-formed text");
    }
  }

  private static boolean isWhole(String text) {
    return text.codePoints().noneMatch(point -> point >= 0xD800 && point <= 0xDFFF);
  }
}
