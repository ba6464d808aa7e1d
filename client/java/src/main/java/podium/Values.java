package podium;

import com.google.protobuf.NullValue;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import podium.v1.Value;
import podium.v1.ValueList;
import podium.v1.ValueMap;

/** Makes and reads values of configurations and breakdowns. Integers stay integers. */
public final class Values {
  private Values() {}

  /**
   * Returns the value of null, a Boolean, a number, a String, a List or a Map with Strings for
   * keys.
   *
   * @throws IllegalArgumentException if it is or contains something else
   */
  public static Value of(Object object) {
    var value = Value.newBuilder();
    if (object == null) {
      value.setNullValue(NullValue.NULL_VALUE);
    } else if (object instanceof Boolean truth) {
      value.setBoolValue(truth);
    } else if (object instanceof Double || object instanceof Float) {
      value.setDoubleValue(((Number) object).doubleValue());
    } else if (isInteger(object)) {
      value.setIntValue(((Number) object).longValue());
    } else if (object instanceof String text) {
      value.setStringValue(text);
    } else if (object instanceof List<?> list) {
      value.setListValue(listOf(list));
    } else if (object instanceof Map<?, ?> map) {
      value.setMapValue(mapOf(map));
    } else {
      throw new IllegalArgumentException("no value can hold a " + object.getClass().getName());
    }
    return value.build();
  }

  /**
   * Returns the content of a value: null, a Boolean, a Long, a Double, a String, a List or a Map
   * with Strings for keys. Lists and maps contain the same types, and may be changed.
   */
  public static Object plain(Value value) {
    return switch (value.getKindCase()) {
      case BOOL_VALUE -> value.getBoolValue();
      case INT_VALUE -> value.getIntValue();
      case DOUBLE_VALUE -> value.getDoubleValue();
      case STRING_VALUE -> value.getStringValue();
      case LIST_VALUE -> plainList(value.getListValue());
      case MAP_VALUE -> plainMap(value.getMapValue());
      case NULL_VALUE, KIND_NOT_SET -> null;
    };
  }

  private static List<Object> plainList(ValueList list) {
    // Stream.toList and collectors of maps do not accept null.
    List<Object> items = new ArrayList<>();
    list.getValuesList().forEach(item -> items.add(plain(item)));
    return items;
  }

  private static Map<String, Object> plainMap(ValueMap map) {
    Map<String, Object> entries = new HashMap<>();
    map.getEntriesMap().forEach((key, item) -> entries.put(key, plain(item)));
    return entries;
  }

  private static boolean isInteger(Object object) {
    return object instanceof Long
        || object instanceof Integer
        || object instanceof Short
        || object instanceof Byte;
  }

  private static ValueList listOf(List<?> list) {
    var values = ValueList.newBuilder();
    list.forEach(item -> values.addValues(of(item)));
    return values.build();
  }

  private static ValueMap mapOf(Map<?, ?> map) {
    var entries = ValueMap.newBuilder();
    map.forEach((key, item) -> entries.putEntries(text(key), of(item)));
    return entries.build();
  }

  private static String text(Object key) {
    if (key instanceof String text) {
      return text;
    }
    throw new IllegalArgumentException("the keys of a map are Strings, not " + key);
  }
}
