import java.io.InputStream;
import java.io.OutputStream;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;

import org.infinispan.client.hotrod.Flag;
import org.infinispan.client.hotrod.RemoteCache;
import org.infinispan.client.hotrod.RemoteCacheManager;
import org.infinispan.client.hotrod.annotation.ClientCacheEntryCreated;
import org.infinispan.client.hotrod.annotation.ClientListener;
import org.infinispan.client.hotrod.configuration.ClientIntelligence;
import org.infinispan.client.hotrod.configuration.ConfigurationBuilder;
import org.infinispan.client.hotrod.event.ClientCacheEntryCreatedEvent;
import org.infinispan.client.hotrod.multimap.MultimapCacheManager;
import org.infinispan.client.hotrod.multimap.RemoteMultimapCache;
import org.infinispan.client.hotrod.multimap.RemoteMultimapCacheManagerFactory;

/**
 * Calls operations that the server does not implement, and writes its errors and whether the next operation on the same
 * connection succeeds.
 *
 * <p>Arguments: port, cache.
 */
public final class Refusals {
   private final RemoteCache<String, String> cache;

   private Refusals(RemoteCache<String, String> cache) {
      this.cache = cache;
   }

   public static void main(String[] arguments) {
      ConfigurationBuilder builder = new ConfigurationBuilder();
      builder.addServer().host("127.0.0.1").port(Integer.parseInt(arguments[0]));
      builder.socketTimeout(15_000).connectionTimeout(15_000).maxRetries(0);
      builder.clientIntelligence(ClientIntelligence.BASIC).connectionPool().maxActive(1);
      try (RemoteCacheManager manager = new RemoteCacheManager(builder.build())) {
         RemoteCache<String, String> cache = manager.getCache(arguments[1]);
         cache.put("a", "1");
         new Refusals(cache).ask(RemoteMultimapCacheManagerFactory.from(manager));
      }
      System.out.flush();
      // Threads of old clients may live on.
      System.exit(0);
   }

   private void ask(MultimapCacheManager<String, String> multimaps) {
      step("listener", () -> {
         cache.addClientListener(new Listener());
         return "listening";
      });
      step("write to a stream", () -> {
         try (OutputStream stream = cache.streaming().put("streamed")) {
            stream.write(new byte[100_000]);
         }
         return "written";
      });
      step("read from a stream", () -> {
         try (InputStream stream = cache.streaming().get("a")) {
            return stream.readAllBytes().length;
         }
      });
      RemoteMultimapCache<String, String> multimap = multimaps.get(cache.getName());
      step("put into a multimap", () -> multimap.put("m", "1").get());
      step("get from a multimap", () -> multimap.get("m").get());
      step("remove from a multimap", () -> multimap.remove("m").get());
      step("size of a multimap", () -> multimap.size().get());
      step("an unknown task", () -> cache.execute("no-such-task", Map.of()));
      step("flags without a meaning here", () -> cache.withFlags(Flag.SKIP_INDEXING).put("a", "1"));
   }

   private void step(String name, Callable<Object> asked) {
      String outcome;
      try {
         outcome = String.valueOf(asked.call());
      } catch (Throwable thrown) {
         Throwable cause = thrown;
         while (cause instanceof ExecutionException && cause.getCause() != null) {
            cause = cause.getCause();
         }
         outcome = "! " + cause.getClass().getSimpleName() + ": " + cause.getMessage();
      }
      System.out.println(name + " -> " + outcome.replaceAll("messageId=\\d+", "messageId=?") + " | then " + cache.get("a"));
   }

   @ClientListener
   static final class Listener {
      @ClientCacheEntryCreated
      public void created(ClientCacheEntryCreatedEvent<String> event) {
      }
   }
}
