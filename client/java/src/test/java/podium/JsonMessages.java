package podium;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.protobuf.Descriptors.EnumDescriptor;
import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.Message;
import com.google.protobuf.Timestamp;
import java.time.Instant;

/**
 * Reads messages from the proto3 JSON mapping.
 *
 * <p>protobuf's own JsonFormat reads doubles by way of BigDecimal, which loses the sign of -0.0.
 */
final class JsonMessages {
  private static final String NULL_VALUE = "google.protobuf.NullValue";

  private JsonMessages() {}

  /** Reads a message of the type of a builder. A field that is not known is an error. */
  @SuppressWarnings("unchecked")
  static <T extends Message> T read(JsonElement json, Message.Builder builder) {
    if (builder instanceof Timestamp.Builder time) {
      Instant instant = Instant.parse(json.getAsString());
      return (T) time.setSeconds(instant.getEpochSecond()).setNanos(instant.getNano()).build();
    }
    json.getAsJsonObject()
        .entrySet()
        .forEach(entry -> set(builder, entry.getKey(), entry.getValue()));
    return (T) builder.build();
  }

  /** The field of a message by its name in JSON. */
  static FieldDescriptor field(Message message, String jsonName) {
    return message.getDescriptorForType().getFields().stream()
        .filter(field -> field.getJsonName().equals(jsonName))
        .findFirst()
        .orElseThrow(
            () ->
                new IllegalArgumentException(
                    message.getDescriptorForType().getName() + " has no field " + jsonName));
  }

  private static void set(Message.Builder builder, String name, JsonElement json) {
    FieldDescriptor field = field(builder.getDefaultInstanceForType(), name);
    if (json.isJsonNull() && !isNullValue(field)) {
      return;
    }
    if (field.isMapField()) {
      json.getAsJsonObject()
          .entrySet()
          .forEach(
              entry ->
                  builder.addRepeatedField(
                      field,
                      entry(builder.newBuilderForField(field), entry.getKey(), entry.getValue())));
    } else if (field.isRepeated()) {
      json.getAsJsonArray()
          .forEach(item -> builder.addRepeatedField(field, value(builder, field, item)));
    } else {
      builder.setField(field, value(builder, field, json));
    }
  }

  private static Message entry(Message.Builder entry, String key, JsonElement json) {
    FieldDescriptor valueField = entry.getDescriptorForType().findFieldByName("value");
    entry.setField(entry.getDescriptorForType().findFieldByName("key"), key);
    return entry.setField(valueField, value(entry, valueField, json)).build();
  }

  private static Object value(Message.Builder parent, FieldDescriptor field, JsonElement json) {
    return switch (field.getJavaType()) {
      case BOOLEAN -> json.getAsBoolean();
      case INT -> Integer.parseInt(json.getAsString());
      case LONG -> Long.parseLong(json.getAsString());
      case DOUBLE -> Double.parseDouble(json.getAsString());
      case STRING -> json.getAsString();
      case ENUM -> enumValue(field.getEnumType(), json);
      case MESSAGE -> read(json, parent.newBuilderForField(field));
      default -> throw new IllegalArgumentException("no field is a " + field.getJavaType());
    };
  }

  private static Object enumValue(EnumDescriptor type, JsonElement json) {
    if (json.isJsonNull()) {
      return type.findValueByNumber(0);
    }
    if (json.getAsJsonPrimitive().isNumber()) {
      return type.findValueByNumberCreatingIfUnknown(json.getAsInt());
    }
    var value = type.findValueByName(json.getAsString());
    if (value == null) {
      throw new IllegalArgumentException(type.getName() + " has no value " + json);
    }
    return value;
  }

  private static boolean isNullValue(FieldDescriptor field) {
    return field.getJavaType() == FieldDescriptor.JavaType.ENUM
        && field.getEnumType().getFullName().equals(NULL_VALUE);
  }

  /** The object under a name, or an empty one. */
  static JsonObject objectOrEmpty(JsonObject json, String name) {
    return json.has(name) ? json.getAsJsonObject(name) : new JsonObject();
  }
}
