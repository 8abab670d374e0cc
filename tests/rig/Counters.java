import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;

import org.infinispan.client.hotrod.RemoteCacheManager;
import org.infinispan.client.hotrod.RemoteCounterManagerFactory;
import org.infinispan.client.hotrod.configuration.ClientIntelligence;
import org.infinispan.client.hotrod.configuration.ConfigurationBuilder;
import org.infinispan.counter.api.CounterConfiguration;
import org.infinispan.counter.api.CounterManager;
import org.infinispan.counter.api.CounterType;

/**
 * Calls counter operations on a server without counters, and writes its errors and whether the next operation on the
 * same connection succeeds.
 *
 * <p>Arguments: port, cache.
 */
public final class Counters {
   private final RemoteCacheManager manager;
   private final String cache;

   private Counters(RemoteCacheManager manager, String cache) {
      this.manager = manager;
      this.cache = cache;
   }

   public static void main(String[] arguments) {
      ConfigurationBuilder builder = new ConfigurationBuilder();
      builder.addServer().host("127.0.0.1").port(Integer.parseInt(arguments[0]));
      builder.socketTimeout(15_000).connectionTimeout(15_000).maxRetries(0).clientIntelligence(ClientIntelligence.BASIC);
      try (RemoteCacheManager manager = new RemoteCacheManager(builder.build())) {
         manager.getCache(arguments[1]).put("a", "1");
         new Counters(manager, arguments[1]).ask(RemoteCounterManagerFactory.asCounterManager(manager));
      }
   }

   private void ask(CounterManager counters) {
      for (CounterType type : CounterType.values()) {
         CounterConfiguration configuration = CounterConfiguration.builder(type).initialValue(7).build();
         step("define " + type, () -> counters.defineCounter("counter", configuration));
      }
      step("is it defined", () -> counters.isDefined("counter"));
      step("its configuration", () -> counters.getConfiguration("counter"));
      step("names", counters::getCounterNames);
      step("count", () -> counters.getStrongCounter("counter").addAndGet(1).get());
      step("remove", () -> {
         counters.remove("counter");
         return "removed";
      });
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
      System.out.println(name + " -> " + outcome + " | then " + manager.getCache(cache).get("a"));
   }
}
