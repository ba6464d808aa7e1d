package podium;

/**
 * One refused event of a Record call.
 *
 * @param index the index of the event in the call, from 0
 * @param reason why it was refused, such as {@code STALE_ATTEMPT}; empty for a reason that this
 *     version does not know
 * @param permanent whether it will never be accepted as it is; else what it needs may still come
 * @param message what was wrong with the first event refused for the reason, and what would be
 *     right
 */
public record RefusedEvent(int index, String reason, boolean permanent, String message) {}
