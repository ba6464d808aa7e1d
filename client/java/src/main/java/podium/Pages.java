package podium;

import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.function.Function;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/**
 * A list on a server. Iterating over it fetches page by page.
 *
 * <p>Each iterator begins with the first page. Fetching can throw a {@link PodiumException}.
 *
 * @param <T> the type of the items
 */
public final class Pages<T> implements Iterable<T> {
  private final Function<String, Page<T>> fetch;

  Pages(Function<String, Page<T>> fetch) {
    this.fetch = fetch;
  }

  @Override
  public Iterator<T> iterator() {
    return new Items<>(fetch);
  }

  /** Returns the items as a stream. */
  public Stream<T> stream() {
    return StreamSupport.stream(spliterator(), false);
  }

  /** A page, and the token of the next one. The token is empty on the last page. */
  record Page<T>(List<T> items, String nextToken) {}

  private static final class Items<T> implements Iterator<T> {
    private final Function<String, Page<T>> fetch;
    private Iterator<T> page = List.<T>of().iterator();
    private String token = "";
    private boolean ended;

    Items(Function<String, Page<T>> fetch) {
      this.fetch = fetch;
    }

    @Override
    public boolean hasNext() {
      // A page can be empty and still be followed by another one.
      while (!page.hasNext() && !ended) {
        Page<T> next = fetch.apply(token);
        page = next.items().iterator();
        token = next.nextToken();
        ended = token.isEmpty();
      }
      return page.hasNext();
    }

    @Override
    public T next() {
      if (!hasNext()) {
        throw new NoSuchElementException();
      }
      return page.next();
    }
  }
}
